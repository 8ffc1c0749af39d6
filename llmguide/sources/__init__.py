"""Where bars come from: the layouts of vendors' tables, a synthetic market, and downloads."""
