"""A callback for the Hugging Face ``Trainer``.

    from diagnostics.integrations.transformers import GradReach

    with GradReach(every=10, name="my run") as reach:
        Trainer(model, arguments, train_dataset=data, callbacks=[reach]).train()
    reach.watch.reach

A Trainer does not tell its callbacks of an exception: the ``with`` block ends the watching then too, else call
``close``. The Trainer unscales and clips by ``max_grad_norm`` right before ``on_pre_optimizer_step``
(``Trainer._run_epoch``): what is seen there is what the optimiser sees, and the norm before clipping is taken from the
gradients as they were accumulated, divided by the loss scale.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor, nn

from diagnostics.integrations.attached import Attached, Forward
from diagnostics.integrations.needed import needed

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from diagnostics.watching.session import Watch

_trainer_callback: Any = needed("transformers.trainer_callback", "transformers")


class GradReach(_trainer_callback.TrainerCallback):
    """Watches the Trainer's model while ``train`` runs, on the first process alone.

    Keyword arguments as of ``diagnostics.watch``; the rule of clipping is the Trainer's. ``forward`` is called with the
    watch and the Trainer's step, every ``logging_steps`` and at the end. The loss is the one that the model returns; it
    is not known under ``gradient_accumulation_steps`` and where the Trainer computes it outside of the model. Raises
    ``ValueError`` when ``train`` begins with several devices in one process, or with sharded parameters.
    """

    def __init__(self, *, forward: Forward | None = None, **options: Any) -> None:
        self._attached = Attached(forward, options)
        self._loss: Tensor | None = None
        self._handle: RemovableHandle | None = None
        self._knows_loss: bool | None = None

    @property
    def watch(self) -> Watch:
        """What was found, also while ``train`` runs."""
        return self._attached.watch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)

    def close(self, error: BaseException | None = None) -> None:
        """Detach; nothing where ``train`` has ended by itself."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        self._attached.close(error)

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: nn.Module, **others: Any) -> None:
        """Attach."""
        _refuse(args)
        self.close()  # auto_find_batch_size begins anew without having ended
        if not state.is_world_process_zero:
            return
        self._attached.open(model)
        self._loss = self._knows_loss = None
        if args.gradient_accumulation_steps == 1:
            self._handle = model.register_forward_hook(self._keep_loss)

    def _keep_loss(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if module.training:
            loss = output.get("loss") if hasattr(output, "get") else output[0] if isinstance(output, tuple) else None
            known = isinstance(loss, Tensor) and loss.numel() == 1 and loss.requires_grad
            self._loss = loss.detach() if loss is not None and known else None

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, *, optimizer: Any, **others: Any) -> None:
        """The gradients are unscaled and clipped, and the optimiser is about to see them."""
        if not self._attached.running:
            return
        scaler = getattr(optimizer, "scaler", None)
        scale = 1.0 if scaler is None else float(scaler.get_scale())
        rule = f"norm:{float(args.max_grad_norm)!r}" if args.max_grad_norm and args.max_grad_norm > 0 else "none"
        loss, self._loss = self._loss, None
        self._knows_loss = loss is not None if self._knows_loss is None else self._knows_loss
        self._attached.step(rule, loss=loss if self._knows_loss else None, scale=scale)

    def on_log(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Forward, as often as the Trainer logs."""
        if self._attached.running:
            self._attached.send(int(state.global_step))

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Detach, and forward for the last time."""
        if self._attached.running:
            self.close()
            self._attached.send(int(state.global_step))


def _refuse(args: Any) -> None:
    """Raise ``ValueError`` for what cannot be followed from a callback."""
    if args.n_gpu > 1:
        raise ValueError(
            f"GradReach needs a process for each device, but the Trainer puts the model on {args.n_gpu} of them in "
            "one: start it with torchrun, or set CUDA_VISIBLE_DEVICES"
        )
    for name in ("deepspeed", "fsdp"):
        if getattr(args, name, None):
            raise ValueError(f"GradReach needs whole parameters on one device, but {name} is set, which shards them")
