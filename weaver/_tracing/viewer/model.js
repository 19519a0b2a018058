// One run as it is looked at: its pieces, and which of them have a row.
export class RunModel {
  constructor(run) {
    this.run = run;
    this.pieces = run.pieces;
    this.collapsed = new Set();
    this.selected = 0;
    this.range = [0, run.seconds || 1e-6];
    this.text = "";
    this.only = "all";
    this.folded = 0;
    this.details = false;
    this.foldNew();
    this.update();
  }

  // A thread with nothing but one call in it says everything in its own row.
  foldNew() {
    for (let i = this.folded; i < this.pieces.length; i++) {
      const piece = this.pieces[i];
      if (piece.n === 1 && piece.k !== "run" && this.pieces[i + 1] && this.pieces[i + 1].k === "call") {
        this.collapsed.add(piece.id);
      }
    }
    this.folded = this.pieces.length;
  }

  replace(run) {
    const selected = this.pieces[this.selected];
    const all = this.range[0] === 0 && this.range[1] >= this.run.seconds;
    this.run = run;
    this.pieces = run.pieces;
    this.folded = 0;
    this.foldNew();
    this.selected = Math.max(0, this.pieces.findIndex((p) => selected && p.id === selected.id));
    if (all) this.range = [0, run.seconds || 1e-6];
    this.update();
  }

  matches(piece) {
    if (this.only === "critical" && !piece.cr) return false;
    if (this.only === "failed" && !["failed", "timed_out"].includes(piece.st)) return false;
    if (this.only === "cancelled" && piece.st !== "cancelled") return false;
    return !this.text || `${piece.l} ${piece.th || ""} ${piece.r} ${piece.k} ${piece.st}`.toLowerCase().includes(this.text);
  }

  update() {
    const rows = [];
    this.hits = 0;
    if (this.text || this.only !== "all") {
      const keep = new Set();
      this.pieces.forEach((piece, i) => {
        if (!this.matches(piece)) return;
        this.hits++;
        for (let at = i; at >= 0 && !keep.has(at); at = this.pieces[at].p) keep.add(at);
      });
      this.pieces.forEach((_, i) => { if (keep.has(i)) rows.push(i); });
    } else {
      for (let i = 0; i < this.pieces.length; i++) {
        rows.push(i);
        if (this.collapsed.has(this.pieces[i].id)) i += this.pieces[i].n;
      }
    }
    this.rows = rows;
  }

  reveal(index) {
    for (let at = this.pieces[index].p; at >= 0; at = this.pieces[at].p) this.collapsed.delete(this.pieces[at].id);
    this.text = "";
    this.only = "all";
    this.selected = index;
    this.update();
  }

  zoom(factor, at) {
    const [from, to] = this.range;
    const middle = at === undefined ? (from + to) / 2 : at;
    const full = this.run.seconds || 1e-6;
    const width = Math.min(full, Math.max((to - from) * factor, full / 1e5));
    const start = Math.min(Math.max(0, middle - (middle - from) / (to - from) * width), full - width);
    this.range = [start, start + width];
  }

  pan(share) {
    const width = this.range[1] - this.range[0];
    const full = this.run.seconds || 1e-6;
    const start = Math.min(Math.max(0, this.range[0] + share * width), full - width);
    this.range = [start, start + width];
  }
}
