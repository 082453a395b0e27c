"""A forecaster on real data: tomorrow's warmest hour in Seattle from the last 120 days of weather.

    pip install . vega_datasets
    python examples/forecaster.py

About half a minute. The data are 1461 days, 2012 to 2015, of NOAA's records (in the public domain), which the package
vega_datasets carries: precipitation, warmest and coldest temperature, wind. How many days back does the model look,
and how many could it learn from? The second is what is watched: a reach well below 120 says that the older days are
given to the model for nothing.
"""

import argparse
import csv
from importlib.resources import files

import torch
from torch import nn

from diagnostics import watch

DAYS, BATCH, HIDDEN, HELD_OUT = 120, 32, 32, 365
COLUMNS = ("temp_max", "temp_min", "precipitation", "wind")


def weather() -> torch.Tensor:
    """[days, 4] in °C, °C, mm and m/s."""
    text = files("vega_datasets").joinpath("_data/seattle-weather.csv").read_text(encoding="utf-8")
    return torch.tensor([[float(row[name]) for name in COLUMNS] for row in csv.DictReader(text.splitlines())])


class Forecaster(nn.Module):
    """Reads [days,B,4] in standard units, answers with how much warmer [B] the next day is than the last."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(len(COLUMNS), HIDDEN)
        self.next = nn.Linear(HIDDEN, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The change of the warmest temperature [B], in standard units."""
        states, _ = self.gru(x)
        return self.next(states[-1])[:, 0]


def windows(days: torch.Tensor, ends: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The DAYS days before each of ``ends`` [DAYS,B,4], and by how much the day itself is warmer than the last [B]."""
    x = torch.stack([days[end - DAYS : end] for end in ends.tolist()], dim=1)
    return x, days[ends, 0] - x[-1, :, 0]


def main() -> None:
    """Train, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400, help="training steps (default 400)")
    parser.add_argument("--store", help="folder of the runs (default $GRADREACH_STORE, else ./runs)")
    asked = parser.parse_args()

    torch.manual_seed(0)
    raw = weather()
    trained = len(raw) - HELD_OUT  # the last year is not trained on
    mean, spread = raw[:trained].mean(0), raw[:trained].std(0)
    days = (raw - mean) / spread

    model = Forecaster()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    with watch(model, every=10, name="forecaster, Seattle", clip="norm:1.0", store=asked.store) as w:
        for _ in range(asked.steps):
            x, y = windows(days, torch.randint(DAYS, trained, (BATCH,)))
            loss = nn.functional.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            w.clipped(loss=loss)  # clipped by hand: after that, and before the step
            optimizer.step()

    with torch.no_grad():
        x, y = windows(days, torch.arange(trained, len(raw)))
        error = float((model(x) - y).abs().mean() * spread[0])
        same = float(y.abs().mean() * spread[0])
    print(f"The held-out year: {error:.2f} °C off on average; saying that tomorrow is like today is {same:.2f} °C off.")
    print(w.verdict.sentence)
    print(w.table())
    print("In the app: make app, the page Your model, or any other page beside the Lab's runs.")


if __name__ == "__main__":
    main()
