"""What it takes to compose a config: the folder of the groups, and the schema that config.yaml refers to."""

from fer_lightning.config import schema  # noqa: F401  (importing it stores the schema)
from fer_lightning.config.groups import CONF  # noqa: F401
