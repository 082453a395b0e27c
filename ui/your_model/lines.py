"""The lines that a person copies into a program of theirs, as they stand on the page; tests run them."""

from __future__ import annotations

PLAIN = """\
from diagnostics import watch

with watch(model, every=10, name="my run") as w:
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        w.step(optimizer, clip="norm:1.0")  # instead of optimizer.step()

print(w.verdict.sentence)"""

BY_HAND = """\
from diagnostics import watch

with watch(model, every=10, name="my run", clip="norm:1.0") as w:
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        w.clipped(loss=loss)  # after clipping, before the step
        optimizer.step()"""

LIGHTNING = """\
from diagnostics.integrations.lightning import GradReach

trainer = Trainer(callbacks=[GradReach(every=10, name="my run")])
trainer.fit(model, loader)"""

TRANSFORMERS = """\
from diagnostics.integrations.transformers import GradReach

trainer = Trainer(model=model, args=args, train_dataset=data, callbacks=[GradReach(every=10, name="my run")])
trainer.train()"""

CELLS = """\
# A cell of your own that is called once per timestep: recognised by itself, or named.
with watch(model, cells=["encoder.cell"], name="my run") as w:
    ...

# Its state is somewhere in what it returns: say where.
with watch(model, cells=["encoder.cell"], state=lambda args, kwargs, output: output[0]) as w:
    ...

# A loop that is written out: mark the state that is handed on, and use what comes back.
for x_t in x:
    h = w.state(torch.tanh(x_t @ W + h @ U))

# A linear recurrence as a parallel scan, h_t = a_t * h_(t-1) + b_t: hand over its result and its decay.
h = w.scan(parallel_scan(a, b), a)"""


def install(folder: str, extra: str = "") -> str:
    """How the library comes into the environment that the model is trained in; it brings neither app nor Streamlit."""
    where = f"{folder}[{extra}]" if extra else folder
    return f'pip install "{where}"' if extra or " " in where else f"pip install {where}"


def store(folder: str) -> str:
    """Where a program has to record for this page to see it."""
    return f'export GRADREACH_STORE="{folder}"'
