"""Programs that read an export in a process of their own; each file is run alone and imports nothing of this project.

Each takes the paths of a task and of its result, both JSON. The task: ``folder`` (the export), ``base`` (of an
adapter), ``messages`` (a list of conversations), ``tokens`` (the version's answers, token ids), ``longest_prompt`` (in
tokens), ``max_new_tokens``, ``threads``, and ``fresh_environment`` (of a Space). The result: ``prompts``, ``tokens``,
``texts`` and ``log_probs`` as in ``recipes.export.answers.Answers``, and ``vocabulary``, the rows of the model's
embedding.
"""
