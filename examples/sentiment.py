"""Sentiment of text files: an embedding and an LSTM that read a review and say whether its writer liked the film.

    pip install .
    python examples/sentiment.py
    python examples/sentiment.py --forget-bias 4.7      # what the advice says
    python examples/sentiment.py --folder my_texts      # with my_texts/<class>/*.txt, two classes or more

Some ten seconds. Without a folder a small one is written: reviews that open with the opinion and then tell the plot, 60
to 120 words of it, as many real ones do. A review's reader keeps the first sentence in mind; whether the LSTM can, is
what is watched. Reviews differ in length: they are packed, and aligned at their last word.
"""

import argparse
import random
import re
import tempfile
from collections import Counter
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from diagnostics import watch

BATCH, HIDDEN, LONGEST, WORDS = 32, 64, 200, 5000

OPINIONS = {
    "neg": ["a dull and lifeless film", "an awful mess", "i hated every minute", "boring and far too long", "a waste"],
    "pos": ["a warm and lively film", "a small wonder", "i loved every minute", "moving and never too long", "a joy"],
}
WHO = ["the captain", "a young teacher", "her brother", "the old baker", "a thief", "the widow", "his neighbour"]
DOES = ["finds a letter", "leaves the village", "meets a stranger", "buys the house", "hides the money", "goes to sea"]
WHEN = ["in the first winter", "after the war", "one night", "by the river", "years later", "while it rains"]


def write_reviews(folder: Path, of_each: int) -> None:
    """``folder``/neg/*.txt and ``folder``/pos/*.txt: the opinion first, then the plot."""
    chance = random.Random(0)
    for kind, opinions in OPINIONS.items():
        (folder / kind).mkdir(parents=True)
        for number in range(of_each):
            words = chance.choice(opinions).split()
            length = chance.randint(60, 120)
            while len(words) < length:
                words += f"{chance.choice(WHO)} {chance.choice(DOES)} {chance.choice(WHEN)} .".split()
            (folder / kind / f"{number:04}.txt").write_text(" ".join(words), encoding="utf-8")


def read(folder: Path) -> tuple[list[torch.Tensor], torch.Tensor, list[str], int]:
    """The texts as numbers of words, their classes as numbers, the classes' names, and how many words there are."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = [(path, label) for label, name in enumerate(names) for path in sorted((folder / name).glob("*.txt"))]
    texts = [re.findall(r"\w+", path.read_text(encoding="utf-8").lower())[:LONGEST] for path, _ in files]
    if len(names) < 2 or not all(texts):
        raise SystemExit(f"--folder must hold two folders or more with *.txt in them, none empty, but got {folder}")
    common = [word for word, _ in Counter(word for text in texts for word in text).most_common(WORDS)]
    number = {word: index for index, word in enumerate(common, 1)}  # 0 is any other word
    encoded = [torch.tensor([number.get(word, 0) for word in text]) for text in texts]
    return encoded, torch.tensor([label for _, label in files]), names, len(number) + 1


class Sentiment(nn.Module):
    """Embedding, LSTM, and the classes' scores from the state after each text's last word."""

    def __init__(self, words: int, classes: int, forget_bias: float) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, 32)
        self.lstm = nn.LSTM(32, HIDDEN)
        self.classes = nn.Linear(HIDDEN, classes)
        with torch.no_grad():
            self.lstm.bias_hh_l0[HIDDEN : 2 * HIDDEN] += forget_bias  # torch's order of the gates: i, f, g, o

    def forward(self, texts: list[torch.Tensor]) -> torch.Tensor:
        """Scores [B,classes]."""
        lengths = torch.tensor([len(text) for text in texts])
        packed = pack_padded_sequence(self.embed(pad_sequence(texts)), lengths, enforce_sorted=False)
        _, (last, _) = self.lstm(packed)
        return self.classes(last[0])


def main() -> None:
    """Train, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=100, help="most training steps (default 100)")
    parser.add_argument("--forget-bias", type=float, default=0.0, help="added to the forget gate's bias (default 0)")
    parser.add_argument("--folder", type=Path, help="a folder of texts, one folder for each class in it")
    parser.add_argument("--store", help="folder of the runs (default $GRADREACH_STORE, else ./runs)")
    asked = parser.parse_args()

    with tempfile.TemporaryDirectory() as written:
        folder = asked.folder or Path(written) / "reviews"
        if asked.folder is None:
            write_reviews(folder, of_each=300)
        texts, labels, names, words = read(folder)

    torch.manual_seed(0)
    model = Sentiment(words, len(names), asked.forget_bias)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    right = []
    most = sorted(map(len, texts))[len(texts) * 9 // 10]  # nearly every batch has a text of so many words
    name = f"sentiment of reviews, forget bias {asked.forget_bias:g}"
    with watch(model, every=5, name=name, timesteps=most, store=asked.store) as w:
        for _ in range(asked.steps):
            chosen = torch.randint(len(texts), (BATCH,))
            scores = model([texts[index] for index in chosen])
            loss = nn.functional.cross_entropy(scores, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            w.step(optimizer, clip="norm:1.0", loss=loss)
            right.append(float((scores.argmax(1) == labels[chosen]).float().mean()))
            if sum(right[-3:]) == 3:
                break  # three batches in a row: what it can still learn is little, and so is the gradient that says it

    newest = right[-20:]
    print(f"{len(texts)} texts of {', '.join(names)}; {words} words; longest {max(map(len, texts))}.")
    print(f"After {len(right)} training steps: {sum(newest) / len(newest):.0%} right in the last {len(newest)}.")
    print(w.verdict.sentence)
    print(w.table())
    for sentence in () if asked.forget_bias else w.verdict.advice:
        print(f"- {sentence}")
    print("In the app: make app, the page Your model, or any other page beside the Lab's runs.")


if __name__ == "__main__":
    main()
