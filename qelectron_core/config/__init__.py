"""Config: what users set once, in files and in the environment.

A value comes from the user's file, the project's file, an environment variable, or an
argument, the later winning. There is one schema: the settings of the core, and the
options of every registered executor.
"""

from qelectron_core.config.making import Configurable, unconfigured

__all__ = ["Configurable", "unconfigured"]
