// Talking to the server: requests, and the stream of what changes.
export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export async function call(path, { method = "GET", body } = {}) {
  let answer;
  try {
    answer = await fetch(`api${path}`, {
      method, cache: "no-store", headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ServerError("The server does not answer.", 0);
  }
  if (answer.status === 403) throw new ServerError("The server does not know this address any more.", 403);
  let value;
  try {
    value = await answer.json();
  } catch {
    throw new ServerError(`The server's answer cannot be read (status ${answer.status}).`, answer.status);
  }
  if (!answer.ok) throw new ServerError(value.error ? value.error.message : `status ${answer.status}`, answer.status);
  return value;
}

export const post = (path, body = {}) => call(path, { method: "POST", body });
const id = encodeURIComponent;
export const runPath = (run, rest = "") => `/runs/${id(run)}${rest}`;
export const flowPath = (name, rest = "") => `/workflows/${id(name)}${rest}`;

const PATIENCE = [500, 1000, 2000, 4000];

// One stream per visible tab: browsers allow six connections to a server, for all tabs together.
export class Stream {
  constructor({ list, picture, changes, status }) {
    this.on = { list, picture, changes, status };
    this.run = "";
    this.tries = 0;
    this.source = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    addEventListener("pagehide", () => this.close());
  }

  follow(run) {
    this.run = run;
    this.close();
    this.open();
  }

  close() {
    clearTimeout(this.timer);
    if (this.source) this.source.close();
    this.source = null;
  }

  open() {
    if (this.source || document.hidden) return;
    clearTimeout(this.timer);
    const source = new EventSource(`api/stream?run=${id(this.run)}`);
    this.source = source;
    source.onopen = () => {
      const again = this.tries > 0;
      this.tries = 0;
      this.on.status("open", again);
    };
    source.onerror = () => {
      if (source !== this.source) return;
      this.close();
      this.tries += 1;
      if (this.tries > 1 || !this.stopped) this.on.status("lost", false);
      this.timer = setTimeout(() => this.open(), PATIENCE[Math.min(this.tries - 1, PATIENCE.length - 1)]);
      if (this.tries > 1) call("/about").catch((error) => { if (error.status === 403) this.on.status("refused", false); });
    };
    const event = (name, action) => source.addEventListener(name, (message) => {
      if (source === this.source) action(JSON.parse(message.data));
    });
    event("runs", () => this.on.list());
    event("picture", (state) => this.on.picture(state));
    event("changes", (changes) => this.on.changes(changes));
    event("end", () => { this.stopped = true; this.on.status("ended", false); });
  }
}

// Make one change of a run's state, as weaver/_serving/ui/picture.py does.
export function apply(state, [path, value, appends]) {
  let place = state;
  for (const key of path.slice(0, -1)) place = place[key];
  const last = path[path.length - 1];
  if (appends) place[last] += value;
  else if (path[0] === "approvals" && path.length === 2 && value === null) delete place[last];
  else place[last] = value;
}
