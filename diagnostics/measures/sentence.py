"""The verdict in one or a few sentences, made from its numbers alone."""

from __future__ import annotations

import math
from collections.abc import Mapping

from diagnostics.measures.evidence import Evidence, Kind
from diagnostics.measures.numbers import number, percent, rate, steps
from diagnostics.measures.reach import REACH_THRESHOLD

_HEADLINES: Mapping[Kind, str] = {
    "vanishing": "Vanishing",
    "exploding": "Exploding",
    "reaches": "Reaches",
    "diverged": "Diverged",
    "fades": "Fades",
}


def headline(evidence: Evidence | None, state: str) -> str:
    """Return one to three words for a badge; ``state`` is the run's, and says whether a verdict may still come."""
    if evidence is None or evidence.kind is None:
        waits = state in ("queued", "running") and not (evidence is not None and evidence.together)
        return "No verdict yet" if waits else "No verdict"
    if evidence.cut_off:
        return "Cut off"
    return "Edge of reach" if evidence.edge else _HEADLINES[evidence.kind]


def sentence(evidence: Evidence | None) -> str:
    """Say what the evidence means, with its numbers; gradients are ratios to the value at the loss."""
    if evidence is None or evidence.profiles == 0:
        return _nothing(evidence)
    if evidence.together:
        return (
            f"No verdict: the loss uses the state at {evidence.answers} timesteps, and what was recorded is the "
            f"gradient of all of them together{_rate(evidence)}: how far that of one answer comes cannot be told."
        )
    if evidence.kind is None:
        return (
            "No verdict: the gradient at the loss is exactly 0 or not finite in every recorded profile, "
            f"so there is nothing to compare the other steps with{_success(evidence)}."
        )
    if evidence.kind != "diverged":
        if evidence.blind:
            return _blind(evidence)
        if evidence.model:
            return _at_once(evidence) + _left_out(evidence)
    said = {
        "diverged": _diverged,
        "exploding": _exploding,
        "reaches": _reaches,
        "vanishing": _vanishing,
        "fades": _fades,
    }
    return said[evidence.kind](evidence) + _left_out(evidence)


def name_word(word: str) -> str:
    """Return how a sentence names the informative step: a name as it is, any other word or symbol in quotes.

    "nothing gets 0.4 of it" would say the opposite.
    """
    is_name = len(word) > 1 and word[0].isupper() and word.replace(" ", "").isalpha()
    return word if is_name else f"“{word}”"


def _named(e: Evidence) -> str:
    """The informative step, as a sentence names it: the word that stands there, or which timestep it is."""
    if not e.watched:
        return name_word(e.word)
    if not e.unasked:
        return f"the timestep {e.word}"
    # Longer batches are cut to the profile and a walk in reverse begins at the end: then the farthest is not the first.
    return "the first timestep" if e.word == "t=0" else f"the farthest timestep of the profile, {e.word}"


def _nothing(evidence: Evidence | None) -> str:
    if evidence is not None and evidence.kind == "diverged":
        return f"Diverged: {_when(evidence)}, before any gradient profile was recorded."
    if evidence is not None and evidence.state in ("queued", "running"):
        return "No verdict yet: the first gradient profile has not been recorded."
    if evidence is None:
        return "No verdict yet: the run has not begun."
    return "No verdict: the run ended before a gradient profile was recorded."


def _blind(e: Evidence) -> str:
    """A network that reads in one direction, asked for what comes later: no weights can help it."""
    return (
        f"Vanishing: {name_word(e.word)} comes {steps(e.distance)} after the answer, and a network that reads in one "
        f"direction has not read it then: it {_gets(e)}{_success(e)}."
    )


def _at_once(e: Evidence) -> str:
    """A network without recurrence: what there is at a position says nothing of a way through time."""
    assert e.kind is not None
    where = f"{name_word(e.word)}, {_away(e)}, {_gets(e)}" if e.distance else f"{name_word(e.word)} is the last word"
    unlearned = " That does not mean learned: success is not yet far above chance." if e.near_chance else ""
    return (
        f"{_HEADLINES[e.kind]}: this network takes in all positions at once, with no way through time on which a "
        f"gradient could fade; of the gradient at the last word {where}{_success(e)}.{unlearned}"
    )


def _away(e: Evidence) -> str:
    return f"{steps(e.distance)} {'ahead' if e.ahead else 'back'}"


def _vanishing(e: Evidence) -> str:
    if e.cut_off:
        solved = (
            " The task is solved all the same: the state still held what no gradient asked for." if e.solved else ""
        )
        return (
            f"Cut off: backpropagation is truncated at {steps(e.truncate)}, so that further back the gradient is "
            f"exactly 0, whatever the network would have sent; {_arrives(e)}{_success(e)}.{solved}"
        )
    solved = " The task is solved all the same: more may have arrived while it was being learned." if e.solved else ""
    return (
        f"Vanishing: the gradient falls below 1 % of its value at the loss after {e.reach} of {steps(e.of)}{_rate(e)}; "
        f"{_arrives(e)}{_success(e)}.{solved}"
    )


def _fades(e: Evidence) -> str:
    """How far the gradient comes, where nobody said how far it has to: no word of praise or blame."""
    enough = "Where answers depend on nothing further back, that is enough"
    enough += "." if e.probe else ": say with distance=… how far back they do."
    if e.cut_off:
        return (
            f"Cut off: backpropagation is truncated at {steps(e.truncate)}, so that further back the gradient is "
            f"exactly 0, whatever the network would have sent. {enough}"
        )
    further = (
        f"further back it comes up to {number(e.beyond)} of it again"
        if e.beyond >= REACH_THRESHOLD
        else "of what lies further back the loss teaches next to nothing"
    )
    return (
        f"Fades: the gradient falls below 1 % of its value at the loss after {e.reach} of {steps(e.of)}{_rate(e)}; "
        f"{further}. {enough}"
    )


def _reaches(e: Evidence) -> str:
    if e.distance == 0 and e.unasked:
        return "Reaches: the loss uses the state after a single step, with no way to travel."
    if e.distance == 0:
        return f"Reaches: {_named(e)} is read at the step of the loss itself, with no way to travel{_success(e)}."
    if e.edge:
        where = _named(e) if e.unasked else "the step that matters"
        solved = " The task is solved all the same." if e.solved else ""
        return (
            f"Reaches by the letter only: the gradient falls below 1 % of its value at the loss just at {where}"
            f"{_rate(e)}; {_arrives(e)}{_success(e)}.{solved}"
        )
    if e.never_below:
        how = f"the gradient never falls below 1 % of its value at the loss in {steps(e.of)}"
    else:
        how = f"the gradient falls below 1 % of its value at the loss only after {e.reach} of {steps(e.of)}"
    honest = ""
    if e.near_chance:
        honest = " Reaches does not mean learned: success is not yet far above chance."
    elif not e.solved and math.isfinite(e.success):
        honest = " Reaches does not mean learned: the task is not solved yet."
    return f"Reaches: {how}{_rate(e)}; {_arrives(e)}{_success(e)}.{honest}"


def _exploding(e: Evidence) -> str:
    peak = "is infinite" if math.isinf(e.peak) else f"grows to {number(e.peak)} times its value at the loss"
    solved = " The task is solved all the same." if e.solved else ""
    if e.peak_lag == e.distance:
        where = f"at {_named(e)}, {_away(e)}{_rate(e)}"
    else:
        where = f"{steps(e.peak_lag)} {'ahead' if e.ahead else 'back'}{_rate(e)}, and {_arrives(e)}"
    return f"Exploding: the gradient {peak} {where}{_success(e)}.{solved}"


def _diverged(e: Evidence) -> str:
    if e.reach is None:
        return f"Diverged: {_when(e)}; no recorded profile has a finite gradient at the loss{_success(e)}."
    if e.peak > 1.0:
        peak = "infinite" if math.isinf(e.peak) else f"{number(e.peak)} times its value at the loss"
        before = f"the gradient rose to {peak} {steps(e.peak_lag)} {'ahead' if e.ahead else 'back'}{_rate(e)}"
    else:
        before = f"the gradient did not grow on its way back{_rate(e)}"
    return f"Diverged: {_when(e)}; in the last profiles before that {before}{_success(e)}."


def _when(e: Evidence) -> str:
    if e.diverged_step is None and e.steps_done:
        return f"the update of training step {e.steps_done - 1} left parameters that are not finite numbers"
    if e.diverged_step is None:
        return "training met numbers that are not finite"
    return f"the loss was no longer a finite number at training step {e.diverged_step}"


def _rate(e: Evidence) -> str:
    if math.isnan(e.decay):
        return ""
    half = f", half-life {steps(e.half_life_steps)}" if math.isfinite(e.half_life_steps) else ""
    fitted = "fitted" if e.zeros or e.non_finite else f"fitted over {'all ' if e.of > 1 else ''}{steps(e.of)}"
    return f" (× {rate(e.decay)} per step{half}, {fitted})"


def _arrives(e: Evidence) -> str:
    return f"{_named(e)}, {_away(e)}, {_gets(e)}"


def _gets(e: Evidence) -> str:
    share = e.informative_grad
    if share == 0:
        gets = "gets exactly nothing of it"
    elif math.isnan(share):
        gets = "gets a gradient that is not a number"
    elif math.isinf(share):
        gets = "gets an infinite gradient"
    elif number(share) == "1":
        gets = "gets all of it"
    elif share > 1:
        gets = f"gets {number(share)} times the value at the loss"
    else:
        gets = f"gets {number(share)} of it"
    return gets


def _success(e: Evidence) -> str:
    if math.isnan(e.success):
        return ""
    return f"; success {percent(e.success)} against {percent(e.chance)} by chance"


def _left_out(e: Evidence) -> str:
    """Say what the profile is of, what the fit left out, and where it is not from the end: numbers have a source."""
    said, timesteps = [], f"of the {e.of + 1} timesteps"
    if e.layers > 1:
        said.append(f" Read from the top layer of {e.layers}.")
    if e.watched and e.profiles == 1 and e.steps_done > 1 and e.used_steps is not None:
        said.append(f" Read from the only profile of {e.steps_done} training steps, that of step {e.used_steps[1]}.")
    if e.last_answer:
        said.append(f" Read from the {'' if e.ahead else 'last '}answer's loss alone.")
    elif e.answers > 1:
        said.append(f" The loss uses the state at {e.answers} timesteps: this is the gradient of all of them together.")
    elif not e.answers:
        said.append(
            " Where the loss uses the state at several timesteps, this is the gradient of all of them together."
        )
    cut = e.of + 1 - e.truncate if e.truncate else 0
    if cut and not e.cut_off:
        said.append(f" Backpropagation is truncated at {steps(e.truncate)}: further back the gradient is exactly 0.")
    if e.zeros > cut:
        said.append(f" At {e.zeros} {timesteps} the gradient is exactly 0; the fitted rate leaves those out.")
    if e.non_finite:
        said.append(f" At {e.non_finite} {timesteps} it is infinite or not a number; the fitted rate leaves those out.")
    if not e.at_end and e.used_steps is not None:
        said.append(
            " At the last profiles the gradient at the loss is exactly 0 or not finite, so this is read from "
            f"training step {e.used_steps[1]}."
        )
    return "".join(said)
