"""“The house that Jack built”, a nursery rhyme in which each verse holds all that came before it.

After “that” only what was said long before decides how it goes on, which is what makes it a text for memory.
"""

from __future__ import annotations

_LINKS = (
    ("the house", "Jack built."),
    ("the malt", "lay in"),
    ("the rat", "ate"),
    ("the cat", "killed"),
    ("the dog", "worried"),
    ("the cow with the crumpled horn", "tossed"),
    ("the maiden all forlorn", "milked"),
    ("the man all tattered and torn", "kissed"),
    ("the priest all shaven and shorn", "married"),
    ("the cock that crowed in the morn", "woke"),
    ("the farmer sowing his corn", "kept"),
    ("the horse and the hound and the horn", "belonged to"),
)


def rhyme() -> str:
    """The whole text, a line per link and an empty line between verses."""
    return "\n\n".join(_verse(last) for last in range(len(_LINKS)))


def _verse(last: int) -> str:
    said = []
    for place in range(last, -1, -1):
        thing, deed = _LINKS[place]
        said.append(f"{'This is ' if place == last else ''}{thing} that {deed}")
    return "\n".join(said)
