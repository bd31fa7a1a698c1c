"""nnU-Net's part: `worker.py FOLDER CONFIGURATION MINUTES BATCH`, in its own environment.

Plans and preprocesses FOLDER/raw as nnU-Net does, trains one network on the folds of
FOLDER/splits.json for MINUTES in minibatches of BATCH (0: as planned), and writes the label maps of
the test images to FOLDER/predictions.
"""

import os
import shutil
import sys
import time
from pathlib import Path

DATASET, NUMBER = "Dataset001_beside", 1
STEPS = 10  # Of an epoch, so that the clock is looked at often.


def main(folder: Path, configuration: str, minutes: float, batch: int) -> None:
    folders = {name: str(folder / name) for name in ("raw", "preprocessed", "results")}
    given = {**folders, "n_proc_DA": str(os.cpu_count())}
    os.environ |= {f"nnUNet_{name}": value for name, value in given.items()}
    prepared = folder / "preprocessed" / DATASET
    if not (prepared / f"nnUNetPlans_{configuration}").is_dir():
        _prepare(configuration)
    shutil.copy(folder / "splits.json", prepared / "splits_final.json")
    _train(prepared, folder, configuration, 60 * minutes, batch)


def _prepare(configuration: str) -> None:
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api  # noqa: PLC0415

    processes = os.cpu_count() or 1
    api.extract_fingerprints([NUMBER], num_processes=processes)
    plans = api.plan_experiments([NUMBER])
    api.preprocess([NUMBER], plans, [configuration], [processes])


def _train(prepared: Path, folder: Path, configuration: str, seconds: float, batch: int) -> None:
    # Imported after the environment is set, which nnU-Net reads on import.
    import torch  # noqa: PLC0415
    from batchgenerators.utilities.file_and_folder_operations import load_json  # noqa: PLC0415
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: PLC0415
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: PLC0415

    class Timed(nnUNetTrainer):
        """nnU-Net's trainer, whose rate falls as always, over minutes instead of epochs."""

        def run_training(self) -> None:
            self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = STEPS, 1
            self.on_train_start()
            start = time.monotonic()
            while (passed := (time.monotonic() - start) / seconds) < 1:
                rate = self.initial_lr * (1 - passed) ** 0.9
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                self.network.train()
                losses = [
                    float(self.train_step(next(self.dataloader_train))["loss"])
                    for _ in range(STEPS)
                ]
                self.current_epoch += 1
                print(
                    f"{self.current_epoch * STEPS} steps, {time.monotonic() - start:.0f} s, rate "
                    f"{rate:.4f}: loss {sum(losses) / STEPS:.3f}",
                    flush=True,
                )
            self.on_train_end()

    plans, dataset = load_json(prepared / "nnUNetPlans.json"), load_json(prepared / "dataset.json")
    plans["continue_training"] = False
    if batch:
        plans["configurations"][configuration]["batch_size"] = batch
    trainer = Timed(plans, configuration, 0, dataset, device=torch.device("cpu"))
    trainer.initialize()
    trainer.run_training()
    trainer.set_deep_supervision_enabled(False)
    predictor = nnUNetPredictor(device=torch.device("cpu"), perform_everything_on_device=False)
    predictor.manual_initialization(
        trainer.network.eval(),
        trainer.plans_manager,
        trainer.configuration_manager,
        [trainer.network.state_dict()],
        dataset,
        "nnUNetTrainer",
        trainer.inference_allowed_mirroring_axes,
    )
    predictions = folder / "predictions"
    predictions.mkdir(exist_ok=True)
    predictor.predict_from_files_sequential(str(folder / "tests"), str(predictions))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
