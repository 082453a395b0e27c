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

reach = GradReach(every=10, name="my run")
trainer = Trainer(callbacks=[reach], gradient_clip_val=1.0)
trainer.fit(model, loader)

print(reach.watch.verdict.sentence)"""

TRANSFORMERS = """\
from diagnostics.integrations.transformers import GradReach

with GradReach(every=10, name="my run") as reach:
    trainer = Trainer(model=model, args=args, train_dataset=data, callbacks=[reach])
    trainer.train()

print(reach.watch.verdict.sentence)"""

CELLS = """\
# A cell that is called once per timestep is recognised by itself, or named; its state is somewhere in what it returns.
with watch(model, cells=["encoder.cell"], state=lambda args, kwargs, output: output[0], name="my run") as w:
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        w.step(optimizer)"""

MARKED = """\
with watch(model, name="my run") as w:
    model.watch = w  # in its __init__: self.watch = None
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        w.step(optimizer)"""

LOOP = """\
for x_t in x:
    h = torch.tanh(x_t @ self.W + h @ self.U)
    if self.watch is not None:
        h = self.watch.state(h)"""

SCAN = """\
h = parallel_scan(a, b)
if self.watch is not None:
    h = self.watch.scan(h, a)"""


def install(folder: str, extra: str = "") -> str:
    """How the library comes into the environment that the model is trained in; it brings neither app nor Streamlit."""
    where = f"{folder}[{extra}]" if extra else folder
    return f'pip install "{where}"' if extra or " " in where else f"pip install {where}"


def store(folder: str) -> str:
    """Where a program has to record for this page to see it."""
    return f'export GRADREACH_STORE="{folder}"'
