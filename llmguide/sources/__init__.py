"""Where data come from: the layouts of vendors' tables, a synthetic market, downloads, and external tables."""
