"""The file that ``weaver init`` writes."""

from __future__ import annotations

MODELINE = "# yaml-language-server: $schema="
"""The comment that names a file's schema to editors."""

STARTER = """\
{modeline}
# Check it:  weaver validate {file}        See it:  weaver plan {file}
# Test it:   weaver test {file}            Run it:  weaver run {file} -i topic="green tea"
version: weaver/v1
name: {name}
description: Looks at a topic from several sides at once and writes a short brief.

inputs:
  topic:
    type: string
    description: What the brief is about.
    examples: [green tea]
  sides: {{type: integer, default: 3, minimum: 1, maximum: 8}}

# models:                      # default: what `weaver doctor` finds
#   default: openai/gpt-5-mini
#   judge:
#     name: openai/gpt-5
#     api_key: ${{env:MY_API_KEY}}   # keys only by the name of a variable

agents:
  critic:
    description: Finds what is wrong or missing.
    instructions: You are a strict but fair editor. Be brief.

defaults:
  deadline: 2m                 # the whole run; it answers by then, partly if need be
  budget: {{calls: 40, tokens: 60k}}
  timeout: 45s                 # each thread
  retry: 1

steps:
  # Steps run at the same time unless one reads or `needs` another.
  plan:
    task: Name ${{{{ inputs.sides }}}} different sides from which to look at ${{{{ inputs.topic }}}}.
    output:                    # the answer is checked, and typed for the steps below
      properties:
        sides: {{type: array, items: string, minItems: 1, maxItems: 8}}

  look:
    for_each: ${{{{ steps.plan.output.sides }}}}
    as: side
    max_parallel: 4
    task: |
      Write two sentences about ${{{{ inputs.topic }}}}, looked at from this side: ${{{{ side }}}}
    on_timeout: partial        # what was said by then still counts

  brief:
    task: |
      Write a brief of at most 120 words about ${{{{ inputs.topic }}}} from these notes:
      ${{{{ steps.look.output }}}}

  review:
    if: len(steps.look.output) > 1
    agent: critic
    task: |
      What is the weakest point of this brief? One sentence.
      ${{{{ steps.brief.output }}}}
    on_error: skip             # the brief is worth something without it

outputs:
  answer: ${{{{ steps.brief.output }}}}
  weakest_point: ${{{{ steps.review.output }}}}

tests:                         # `weaver test` needs no model
  - name: two sides make a brief
    inputs: {{topic: green tea, sides: 2}}
    answers:
      plan: {{sides: [health, history]}}
      look: [It is said to be healthy., It came from China.]
      brief: Green tea is old and liked.
      review: It has no numbers.
    expect:
      - outputs.answer == 'Green tea is old and liked.'
      - len(steps.look.items) == 2
      - calls == 5
"""


def starter(name: str, file: str, schema: str) -> str:
    """The text of a first workflow.

    Args:
        name: the workflow's name.
        file: how the file is called in the commands of its comments: quoted for a shell.
        schema: where the editor finds the JSON Schema: a path relative to the file, or a URL.
    """
    return STARTER.format(modeline=f"{MODELINE}{schema}", name=name, file=file)
