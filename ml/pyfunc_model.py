"""The churn model as MLflow loads it: this file is kept beside the package, and run by ``mlflow.pyfunc.load_model``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from ml.package import load


class ServedChurn(PythonModel):
    """Takes the three counts and, as far as they are known, the other features; gives the probability and the call."""

    def load_context(self, context: PythonModelContext) -> None:
        self._model = load(Path(context.artifacts["package"])).model

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:  # noqa: ARG002
        return self._model.predict(pl.from_pandas(model_input)).to_pandas()


set_model(ServedChurn())
