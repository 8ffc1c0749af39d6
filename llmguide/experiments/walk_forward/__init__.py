"""Walk-forward tests: arms that are trained anew for each window, and tested on the window after their training bars.

windows  which bars each window trains on and trades
plan     what is trained for each instrument and window
relay    one account that passes from window to window, in a single run of Cerebro
run      the door
result   what was found; walk is the same with a way to write it down
write    the folder and the page
"""

from llmguide.experiments.walk_forward.run import walk_forward
from llmguide.experiments.walk_forward.walk import Walk

__all__ = ["Walk", "walk_forward"]
