"""The MLflow pyfunc model (models-from-code): the same Classifier over the logged bundle.

Input: a column or list of texts. Output: for each text its decided labels (joined by "; ") and every label's score.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class ZhenyanModel(PythonModel):
    """Adapter: loads the bundle once, scores data frames."""

    def load_context(self, context: Any) -> None:
        """Open the logged bundle."""
        from zhenyan.inference import Classifier

        self.classifier = Classifier.load(context.artifacts["bundle"], explain=False)

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score the `text` column of a data frame (or its only one), a series or a list."""
        frame = model_input if isinstance(model_input, pd.DataFrame) else pd.DataFrame({"text": list(model_input)})
        column = frame["text"] if "text" in frame else frame.iloc[:, 0]
        predictions = self.classifier.predict([str(text) for text in column])
        return pd.DataFrame(
            [{"labels": "; ".join(p.labels), **p.scores} for p in predictions],
            columns=["labels", *self.classifier.bundle.label_ids],
        )


set_model(ZhenyanModel())
