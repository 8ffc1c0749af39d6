"""The documentation site: `make docs` builds it into build/docs, without the network."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "ext"))

from pygments.lexers.shell import BashLexer  # noqa: E402
from sphinx.highlighting import lexers  # noqa: E402

import llmguide  # noqa: E402

# Commands stand without a prompt, to be copied; the lexer of that name takes such lines for output.
lexers["console"] = BashLexer()

project = "llmguide"
author = "the authors of llmguide"
project_copyright = "the authors of llmguide, GPL-3.0-or-later"
release = version = llmguide.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "api_docs",
    "command_reference",
    "executed_notebook",
]
exclude_patterns = ["conf.py", "ext", "pictures", "_static", "_templates"]
# Types in signatures: those of other projects, whose lists of names would come from the network, and of inner modules.
nitpick_ignore_regex = [("py:(class|exc|obj)", ".*")]

html_theme = "furo"
html_title = f"llmguide {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
html_permalinks_icon = "#"
pygments_style = "default"
pygments_dark_style = "github-dark"

# Markdown
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4

# The reader executes the notebook, or takes the outputs that it kept.
nb_custom_formats = {".py": ["executed_notebook.read", {}]}
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # they would come from the network
nb_merge_streams = True

# Docstrings
default_role = "backticks"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
autosummary_generate = False
maximum_signature_line_length = 88
napoleon_custom_sections = [("Params", "params_style"), ("Lines", "params_style"), "Formula", "See", "Source"]
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
