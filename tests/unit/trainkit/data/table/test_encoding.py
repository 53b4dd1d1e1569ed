from __future__ import annotations

import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.preprocessing import MinMaxScaler
from trainkit.data.table import encoding
from trainkit.errors import InputError


def test_a_step_that_trainkit_does_not_make_is_named() -> None:
    other = make_column_transformer((MinMaxScaler(), ["age"])).fit(pd.DataFrame({"age": [1.0, 2.0]}))
    with pytest.raises(InputError, match="minmaxscaler"):
        encoding.read_off(other)
