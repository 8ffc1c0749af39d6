"""FLAG-Trader: a language model is the policy (arXiv 2502.11433). Needs the extra ``flag``.

protocol        what training and deciding know of a policy
policy          the policy: frozen layers, trainable layers, heads; encode, evaluate, reference
base, tiny      the language model it is built on: read from a hub, folder or GGUF file; made with random weights
layers, prefix  how it is fast: decoder layers in parts, the beginning that states share
heads           logits and value
checkpoint      what was trained, on disk
libraries       the door to transformers and peft
"""
