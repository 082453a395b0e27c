"""The word language model: France's sentences, every next word, the commonest first."""

from __future__ import annotations

import numpy as np
import pytest

import tasks


@pytest.fixture
def task() -> tasks.Task:
    return tasks.build("words", 10)


def test_every_next_word_is_asked_for_and_the_last_is_the_language(task: tasks.Task) -> None:
    batch = task.batch(np.random.default_rng(0), 50)
    assert (batch.inputs[1:] == batch.targets[:-1]).all()
    languages = {task.vocabulary[token] for token in batch.targets[-1]}
    assert "French" in languages
    assert len(languages) > 6
    countries = batch.inputs[task.informative[0]]
    pairs = {(c, a) for c, a in zip(countries.tolist(), batch.targets[-1].tolist(), strict=True)}
    assert len(pairs) == len({c for c, _ in pairs}) == len({a for _, a in pairs})  # one language to a country
    assert task.distance == task.answer_steps[-1] - task.informative[0] == 10


def test_words_are_numbered_by_how_often_they_come(task: tasks.Task) -> None:
    counts = np.bincount(tasks.build("words", 40).batch(np.random.default_rng(5), 2000).targets.ravel(), minlength=250)
    assert counts[:10].min() > counts[50:100].max() > counts[200:].max()


def test_a_sentence_as_it_is_written(task: tasks.Task) -> None:
    assert isinstance(task, tasks.words.Words)
    batch = task.batch(np.random.default_rng(1), 3)
    for index, words in enumerate(task.written(batch)):
        read, answer = task.readable(batch, index)
        assert [word.lower() for word in words] == [*(word.lower() for word in read), answer.lower()]


def test_the_example_is_france(task: tasks.Task) -> None:
    facts = task.facts(np.random.default_rng(0))
    assert facts.answer == "French"
    assert facts.tokens[facts.informative_steps[0]] == "France"
