"""Headlines are data: made harmless as text, and withheld where they speak to the model instead of to a reader.

Two defences, since neither is complete. `clean` takes out what could pass for the structure of a prompt, so that a
headline stays one line within its delimiters. `carries_instructions` finds the usual forms of an instruction, in
English. What slips through both can still not change the schema of the reply, and only the Analyst reads it: the
Strategist sees the Analyst's factors, which pass through both again.
"""

from __future__ import annotations

import html
import re

from llmguide.guidance.news.anonymise import plain

__all__ = ["LIMIT", "LONGEST", "carries_instructions", "clean"]

LIMIT = 400
"""Characters of a headline that reach a prompt."""

# A text longer than this is cut before anything looks at it: taking out nested tags costs its length squared.
LONGEST = 4000


def clean(text: str, *, limit: int = LIMIT) -> str:
    """Return `text` on one line of at most `limit` characters, cut at a word, as nothing but words.

    Taken out: control and invisible characters, ANSI sequences, HTML tags and entities, tokens and markers of roles of
    chat formats, code fences, rules of three or more signs, and all angle brackets, so that no tag can be forged.
    Doing it again changes nothing.
    """
    text = text[:LONGEST]
    while (once := _once(text)) != text:
        text = once
    if len(text) <= limit:
        return text
    short = text[: limit - 3]
    return (short.rsplit(" ", 1)[0] if " " in short else short).rstrip() + "..."


def carries_instructions(text: str) -> str | None:
    """Return what kind of instruction to a model a text carries, None if none is found.

    Kinds: "chat markup", "override", "role", "reply", "field", "prompt". Looks at the text as it came, so that markup
    which `clean` takes out is still seen, and at the text without it, so that markup hides nothing.
    """
    text = text[:LONGEST]
    if _MARKUP.search(html.unescape(_ANSI.sub("", text))):
        return "chat markup"
    words = clean(text, limit=LONGEST)
    return next((kind for kind, pattern in _INSTRUCTIONS if pattern.search(words)), None)


def _once(text: str) -> str:
    lines = html.unescape(_ANSI.sub("", text)).splitlines()
    text = _TAG.sub(" ", "\n".join(plain(line) for line in lines))
    text = _FENCE.sub(" ", _ROLE.sub("", text))
    return " ".join(text.replace("<", "").replace(">", "").split())


_ANSI = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]?")
_TAG = re.compile(r"<[/!?]?[A-Za-z|][^<>]{0,200}>|<<[^<>]{0,40}>>|<!--.{0,400}?-->|\[/?(?:INST|SYS)\]", re.IGNORECASE)
_ROLE = re.compile(r"(?im)^(?:[\s#*>]*(?:system|assistant|user|human|developer|tool)\s*:)+")
_FENCE = re.compile(r"`+|'{3,}|\"{3,}|[-=*_#~|+]{3,}")

_MARKUP = re.compile(
    r"<\|[^<>]{0,40}\|>|\[/?INST\]|<<?/?SYS>>?|</?(?:system|assistant|user|instructions?|prompt|headlines|factors)>"
    r"|^[\s#*>]*(?:system|assistant|developer)\s*:|^\s*#{2,}\s*(?:instructions?|system|response)\b",
    re.IGNORECASE | re.MULTILINE,
)

_VERB = r"(?:respond|reply|answer|output|return|print|write|say|state|produce|generate|emit)"
_SIDE = r"(?:[\"']?(?-i:LONG|SHORT)\b)"
_SET = r"(?:set|make|change|choose|use|mark|rate|assign|report)"
_END_OF_SCORE = r"(?![\w%]|[.,]\d|-| ?(?:points?|percent|months?|years?|weeks?|quarters?|days?|times|out|in)\b)"

_INSTRUCTIONS = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        (
            "override",
            r"\b(?:ignore|disregard|forget|override|bypass|do not follow|don't follow|stop following)\b"
            r" (?:(?:all|any|of|the|your|my|these|those|every) ){0,4}"
            r"(?:(?:previous|prior|above|earlier|preceding|existing|original|initial|system|given|other)(?: \w{1,20})? "
            r"(?:instruction|prompt|message|command|direction|rule|guideline|constraint|context)s?\b"
            r"|(?<=your )(?:instruction|prompt|rule|guideline|training|constraint)s?\b"
            r"|(?<=all )(?:instruction|prompt)s?\b|(?<=these )(?:instruction|prompt)s?\b"
            r"|(?:everything|anything|all)(?: that)? (?:above|before this|you (?:were|have been|are) told))",
        ),
        ("override", r"\b(?:new|updated|real|actual|additional|important) (?:instructions?|task|directive)s?\s*:"),
        (
            "override",
            r"\b(?:follow|obey|execute) (?:only )?(?:these|my|the following|the instructions (?:below|here))\b",
        ),
        ("role", r"\byou are (?:now|no longer) (?:an?|the|in|my|free|bound|required|acting|operating|going|DAN)\b"),
        ("role", r"\byou are (?:an? )?(?:\w{1,20} ){0,3}(?:assistant|language model|chatbot|AI|LLM|GPT)\b"),
        ("role", r"\bact as (?:an? |the |my )?(?:\w{1,20} )?(?:assistant|language model|chatbot|AI|LLM|GPT|DAN)\b"),
        ("role", r"\bpretend (?:that )?you(?: are|'re)?\b"),
        (
            "reply",
            rf"\b{_VERB}(?: (?:only|just|exclusively|strictly|always))*(?: (?:with|in|as))?"
            rf"(?: (?:the|a|an|one|this|valid|raw|single))*"
            rf" (?:JSON\b|{_SIDE}|(?:word|following|text|phrase|string)s?\b\s*[:\"'])",
        ),
        ("reply", rf"\b{_VERB} (?:only|just|exclusively|strictly) (?:with|in|as)\b|\brespond (?:only|with) [\"']"),
        (
            "reply",
            rf"\byou (?:must|should|shall|will|have to|need to)(?: now| only| always)? {_VERB}"
            rf" (?:only|with|as|in JSON|{_SIDE})",
        ),
        (
            "reply",
            r"\bin your (?:reply|response|answer|output|analysis|summary)\b"
            r"|\byour (?:reply|response|output) (?:must|should|is)\b",
        ),
        ("reply", r"\{ ?[\"']?(?:direction|confidence|sentiment|impact|factors|features|explanation)[\"']? ?:"),
        (
            "field",
            rf"\bdirection (?:to |as |is |= ?|: ?)?{_SIDE}"
            rf"|\b{_SET} (?:\w{{1,20}} )?direction (?:to|as|=) (?:long|short)\b",
        ),
        (
            "field",
            r"(?<!consumer )(?<!business )(?<!investor )(?<!market )(?<!economic )"
            r"\b(?:confidence|sentiment|impact)(?: score| level)?"
            rf" ?(?:=|:|is|to|as|at)? ?[-+]?[1-3]{_END_OF_SCORE}",
        ),
        (
            "field",
            rf"\b{_SET} (?:the |your |its )?(?:confidence|sentiment|impact)(?: score| level)? (?:to|as|at|=) "
            r"(?:[-+]?\d\b|max|high|low|positive|negative|bullish|bearish|strong)",
        ),
        ("prompt", r"\b(?:system|developer) (?:prompt|message|instruction)s?\b"),
        (
            "prompt",
            r"\b(?:reveal|show|print|repeat|display|leak|tell me) (?:me )?your (?:prompt|instructions|system|rules)\b",
        ),
    )
)
