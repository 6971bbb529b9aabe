"""The folder of the config groups."""

from pathlib import Path

import fer_lightning
from fer_lightning.config import schema  # noqa: F401  (stores the schema, which config.yaml refers to)

_PACKAGE = Path(fer_lightning.__file__).parent

# In a wheel conf/ lies inside the package, in a checkout beside it.
CONF = next(path for path in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if path.is_dir())
