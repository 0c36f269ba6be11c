"""The data sets: one per file, from stored examples to batches of (x, y, weight)."""

from pipelines.core.pipeline import SPLITS as SPLITS
from pipelines.core.pipeline import DataError as DataError
from pipelines.core.pipeline import Form as Form
from pipelines.core.pipeline import MissingDataError as MissingDataError
from pipelines.core.pipeline import Pipeline as Pipeline
from pipelines.core.pipeline import Rows as Rows
from pipelines.core.pipeline import Schema as Schema
from pipelines.core.pipeline import State as State
from pipelines.core.pipeline import classes as classes
from pipelines.core.registry import Listing as Listing
from pipelines.core.registry import accepted as accepted
from pipelines.core.registry import describe as describe
from pipelines.core.registry import get as get
from pipelines.core.registry import listing as listing
from pipelines.core.registry import names as names
