"""Words that say how the parts of a task hang together, in the languages that people ask in most.

They are hints, not a grammar: where none is there, the planner decides.
"""
# ruff: noqa: RUF001 - Cyrillic and other letters that look like Latin ones

from __future__ import annotations

import re

from weaver._text.patterns import lazily


def _words(*patterns: str) -> re.Pattern[str]:
    """A pattern of words: whole ones in scripts with blanks, anywhere in Chinese, Japanese, Korean."""
    spaced = [p for p in patterns if p.isascii() or not re.search("[\u3000-\u9fff\uac00-\ud7af]", p)]
    joined = [p for p in patterns if p not in spaced]
    return lazily("|".join([rf"(?<!\w)(?:{'|'.join(spaced)})(?!\w)", *joined]), re.IGNORECASE)


_DO = r"(?:answer|solve|translate|define|explain|describe|compute|calculate|convert)"
SEVERAL = _words(
    r"for each", r"each of", r"every one of", r"respectively", r"separately", r"both of",
    r"all of the following", r"the following", r"jeweils", r"je (?:eine[nmrs]?|zwei|drei)", r"für jede[nsr]?",
    r"pour chaque", r"chacune?",
    r"para cada", r"cada una?o?", r"per ogni", r"ciascun[oa]", r"voor elke?", r"для кажд\w{2,3}",
    "分别", "每个", "每种", "逐一", "それぞれ", "각각",
)  # fmt: skip
"""The same is asked about several things, whether they are listed or not."""

COMPARISON = _words(
    r"compar(?:e|ing|ison|isons|er|ez|aison|ar|a|ación|ação)", r"versus", r"vs\.?", r"pros and cons",
    r"advantages and disadvantages", r"differences? between", r"vergleich(?:e|en)?",
    r"unterschiede? zwischen",
    r"vor- und nachteile", r"différences? entre", r"avantages et inconvénients", r"diferencias? entre",
    r"ventajas y desventajas", r"confronta(?:re)?", r"differenze tra", r"diferenças entre", r"vergelijk",
    r"сравни(?:те|ть)?", r"karşılaştır", r"porównaj", r"jämför",
    "比较", "对比", "区别", "优缺点", "比較", "違い", "비교",
)  # fmt: skip

EACH = _words(
    r"each", r"every", r"for all", r"one by one", r"separately", r"individually", r"respectively",
    r"both of",
    r"all of (?:these|the following)", r"these (?:questions|tasks|problems|sums|exercises)",
    r"(?:the )?following (?:\w+ )?(?:questions|tasks|problems|sums|exercises|equations|topics|terms)",
    rf"{_DO}(?: all)?(?: of)?(?: these| the following)?(?=\s*[:\n])", rf"{_DO} (?:these|the following)",
    r"jede[nmrs]?", r"jeweils", r"je (?:eine[nmrs]?|zwei|drei)", r"beantworte(?: bitte)?", r"berechne",
    r"folgenden? (?:fragen|aufgaben)",
    r"chaque", r"chacune?", r"réponds?", r"répondez", r"questions suivantes",
    r"cada(?: una?o?)?", r"responde", r"preguntas siguientes", r"siguientes preguntas",
    r"ogni", r"ciascun[oa]", r"rispondi", r"para cada", r"elke?", r"ieder[e]?", r"beantwoord",
    r"кажд\w{2,3}", r"ответь(?:те)?", r"her biri(?:ni|nin)?", r"każd\w{1,3}", r"varje", r"لكل", r"كل",
    r"أجب", r"प्रत्येक",
    "每", "各", "分别", "逐一", "逐个", "以下问题", "下列问题", "それぞれ", "次の質問", "各々", "각각",
    "다음 질문",
)  # fmt: skip
"""The same is asked of each item."""

SECTIONS = _words(
    r"(?:these|following|with(?: the)?|the) (?:\w+ )?"
    r"(?:sections|chapters|headings|paragraphs|parts|aspects|topics|points)",
    r"(?:folgenden?|diesen?) (?:abschnitten?|kapiteln?|teilen?|punkten?)", r"sections? suivantes?",
    r"secciones", r"apartados", r"sezioni",
    r"разделы|разделов|разделами", "部分", "章节", "方面", "小节", "セクション", "章",
)  # fmt: skip
"""The items are sections of one text."""

ONE_ANSWER = _words(
    r"which", r"choose", r"select", r"pick", r"sort", r"rank", r"order", r"arrange", r"odd one out",
    r"add up", r"sum up", r"sum of", r"total",
    r"average", r"mean of", r"in common", r"combine", r"merge", r"how many", r"how much",
    r"best", r"better", r"overall", r"altogether",
    r"(?:largest|smallest|longest|shortest|highest|lowest|biggest|best|worst|correct|right|true|false)"
    r" (?:\w+ )?(?:one|answer|option|statement|spelling)",
    r"summari[sz]e", r"welche[rsnm]?", r"wähle", r"sortiere", r"ordne", r"quel(?:le)?s?", r"choisis",
    r"trie", r"cuál(?:es)?", r"elige", r"ordena", r"quale?",
    r"scegli", r"welke?", r"какая|какой|какое|какие", r"выбери",
    "哪", "选择", "排序", "最大", "最小", "どれ", "どちら", "選", "어느", "고르",
)  # fmt: skip
"""One answer is asked about all items together."""

STEPS = _words(
    r"steps?", r"recipe", r"procedure", r"instructions", r"in (?:this|that|the given) order",
    r"one after (?:the other|another)",
    r"rezept", r"schritte?n?", r"anleitung", r"étapes?", r"recette", r"pasos?", r"receta", r"passi",
    r"ricetta", r"passos", r"stappen", r"шаги|шагам|рецепт",
    "步骤", "食谱", "菜谱", "手順", "レシピ", "단계", "레시피",
)  # fmt: skip
"""The items are steps of one piece of work."""

NEXT = _words(
    r"then", r"next", r"finally", r"after (?:that|this|which)", r"afterwards", r"lastly",
    r"once (?:done|that|this|it)",
    r"dann", r"danach", r"anschließend", r"zuletzt", r"schließlich", r"puis", r"ensuite", r"enfin",
    r"luego", r"después", r"finalmente", r"por último",
    r"poi", r"infine", r"depois", r"em seguida", r"daarna", r"vervolgens", r"затем", r"потом", r"наконец",
    "然后", "接着", "随后", "之后", "最后", "次に", "それから", "その後", "다음에", "그런 다음",
)  # fmt: skip
"""An item comes after the one before."""

RESULT = _words(
    r"(?:the|that|this|your|previous|last|its) (?:\w+ )?(?:results?|answers?|sum|total|output|number)",
    r"result of", r"step \d", r"previous", r"the above", r"from (?:step |part )?\(?[a-z1-9]\)?(?= |$|\.)",
    r"(?:das|dem|des|vorherige[nrs]?) ergebnis(?:ses)?", r"le résultat", r"el resultado", r"il risultato",
    r"o resultado", r"het resultaat", r"результат\w{0,2}",
    "[将把用对该的]结果", "结果[再乘除加减]", "上一步", "上述", "その結果", "前の結果", "그 결과",
)  # fmt: skip
"""An item works on what another one gave."""

WHOLE = _words(
    r"both", r"overall", r"altogether", r"in total", r"all (?:of them|together|three|four|five)",
    r"(?:compare|summari[sz]e|combine|conclude)(?: (?:them|these|all|the (?:results|answers|findings)).*)?$",
    r"together", r"insgesamt", r"zusammen", r"beide[nrs]?", r"en tout", r"les deux", r"en total", r"ambos?",
    r"всего", r"вместе", "总共", "一共", "合计", "两者", "合計",
)  # fmt: skip
"""The last item is about all others."""

_PRONOUN_FIRST = lazily(
    r"\W*(?:[\w'-]+\W+){0,2}(?:it|them|sie|ihn|es|diese[nrsm]?|le|la|les|lo|los|las|его|её|их)(?!\w)(?!\W+[A-Z])",
    re.IGNORECASE,
)
_PROCEDURE = _words(
    r"add", r"boil", r"chop", r"mix", r"stir", r"bake", r"preheat", r"pour", r"heat", r"peel", r"wait",
    r"let", r"put", r"place", r"remove",
    r"open", r"close", r"click", r"turn", r"press", r"go", r"install", r"run", r"connect", r"insert",
    r"cut", r"cook", r"serve", r"fold", r"whisk", r"season",
    r"take", r"double", r"halve", r"triple", r"multiply", r"divide", r"subtract", r"square", r"start",
    r"begin", r"think of", r"wash", r"dry", r"fry", r"drain",
    r"gib", r"mische", r"rühre", r"koche", r"schneide", r"nimm", r"addiere", r"verdopple", r"teile",
    r"ajoute", r"mélange", r"coupe", r"prends", r"añade", r"mezcla", r"corta",
)  # fmt: skip
_HAN_PROCEDURE = lazily(r"\s*(?:切|炒|煮|加|放|倒|拌|蒸|炸|洗|打开|点击|关闭|等待|取)")
_TASK = _words(
    r"what(?:'s)?", r"who", r"when", r"where", r"why", r"how", r"is", r"are", r"does", r"do", r"did",
    r"can",
    r"write", r"translate", r"describe", r"explain", r"list", r"name", r"find", r"give", r"tell", r"define",
    r"summari[sz]e", r"count", r"sort", r"solve", r"convert",
    r"draw", r"create", r"compare", r"identify", r"state", r"show", r"compute", r"calculate", r"draft",
    r"suggest", r"recommend", r"outline", r"rewrite", r"check", r"prove", r"estimate",
    r"was", r"wer", r"wo", r"wann", r"warum", r"wie", r"schreibe?", r"nenne?", r"erkläre?", r"beschreibe?",
    r"übersetze?", r"berechne?",
    r"qui", r"où", r"quand", r"pourquoi", r"comment", r"écris", r"décris", r"explique", r"traduis",
    r"calcule", r"quién", r"qué", r"dónde", r"cuándo", r"escribe", r"describe", r"traduce",
    r"кто", r"что", r"где", r"когда", r"почему", r"как", r"напиши", r"опиши", r"переведи", r"назови",
)  # fmt: skip
_HAN_TASK = lazily(r"\s*(?:写|计算|翻译|列出|说明|解释|描述|介绍|分析|总结|求|证明|什么|谁|为什么|怎么)")
ARITHMETIC = lazily(
    r"\d\s?(?:[-+*/x\u00d7\u00f7^\u2212\u2013]|plus|minus|times|mal)\s?\(?\d|\d?[a-z]\s?[-+*/]\s?\d",
    re.IGNORECASE,
)
_SUM = lazily(
    r"(?:add|subtract|multiply|divide|sum)\b[^.]{0,40}\d[^.]{0,20}(?:and|from|by|to|with)[^.]{0,20}\d",
    re.IGNORECASE,
)


_SPEAKS_OF = lazily(
    r"\W*(?:[\w'-]+\W+){0,4}(?:it|its|he|him|his|she|her|they|them|their|er|ihm|ihr|il|elle|ils|elles|lui|egli|ella|"
    r"él|ellos|он|она|они)(?!\w)|[\u5b83\u4ed6\u5979\u5176]|\u5f7c[\u306f\u304c\u5973]|\u305d\u308c",
    re.IGNORECASE,
)
ONE_TEXT = lazily(
    r"\s{0,9}(?:(?:please|can you|could you|bitte)\s+)?"
    r"(?:(?:write|tell|compose|make up|give)(?:\s+me|\s+us)?\s+(?:an?|one)\s+(?:(?!and\s|or\s)[\w-]+\s+){0,3}"
    r"(?:story|tale|poem|haiku|limerick|joke|song|riddle|anecdote|fable|sentence|paragraph|tweet|slogan|toast)"
    r"|(?:erzähle?|schreibe?)(?:\s+mir|\s+uns)?\s+eine?n?\s+(?:\w+\s+){0,2}"
    r"(?:geschichte|märchen|gedicht|haiku|witz|satz|absatz|lied|rätsel|fabel)"
    r"|(?:raconte|écris)(?:-moi)?\s+une?\s+(?:\w+\s+){0,2}(?:histoire|conte|poème|blague|phrase|paragraphe|fable)"
    r"|(?:cuenta|escribe)(?:me)?\s+una?\s+(?:\w+\s+){0,2}(?:cuento|historia|poema|chiste|frase|párrafo|fábula)"
    r"|(?:racconta|scrivi)(?:mi)?\s+un[oa]?\s+(?:\w+\s+){0,2}(?:storia|poesia|barzelletta|frase|favola)"
    r"|(?:расскажи|напиши)\s+(?:\w+\s+){0,2}(?:историю|рассказ|сказку|стихотворение|стих|анекдот)"
    r"|(?:请)?[写讲](?:一[个首篇句则段]|个|首)[^,，。]{0,12}?(?:故事|诗|笑话|句子|童话))"
    r"(?!s\b|\s*(?:,|&|and|und|et|y|e|и)\s*(?:an?|one|eine?n?|une?|una?)\b)",
    re.IGNORECASE,
)
"""One short text is asked for, at the beginning of the task."""
ALL_IN_ONE = lazily(
    r"\b(?:us(?:es?|ing)|contain(?:s|ing)?|includ(?:es?|ing)|mention(?:s|ing)?|featur(?:es?|ing)|combin(?:es?|ing))"
    r" (?:each|every|all)\b",
    re.IGNORECASE,
)
"""All items go into one text."""


def begins(pattern: re.Pattern[str], text: str) -> bool:
    """Tell whether a text begins with one of the words."""
    return pattern.match(text.lstrip(" \t\"'*_¿¡(")) is not None


def is_task(item: str) -> bool:
    """Tell whether an item asks for something by itself."""
    if (
        item.rstrip().endswith(("?", "\uff1f", "\u061f"))
        or ARITHMETIC.search(item)
        or _SUM.match(item.lstrip())
    ):
        return True
    return begins(_TASK, item) or _HAN_TASK.match(item) is not None


def is_step(item: str) -> bool:
    """Tell whether an item looks like one step of a procedure."""
    return (begins(_PROCEDURE, item) or _HAN_PROCEDURE.match(item) is not None) and not _SUM.match(
        item.lstrip()
    )


def speaks_of_earlier(question: str) -> bool:
    """Tell whether a question speaks of something that an earlier one names: "When was he born?"."""
    return _SPEAKS_OF.match(question[:200]) is not None


def needs_earlier(item: str, *, is_data: bool = False) -> bool:
    """Tell whether an item rests on the one before it.

    Args:
        is_data: the same is asked of each item, so that only its first word can say so.
    """
    beginning = item[:200]
    if is_data:
        return begins(NEXT, beginning)
    return bool(_PRONOUN_FIRST.match(beginning) or NEXT.search(beginning) or RESULT.search(beginning))
