import pytest

from weaver._planning.part_questions import MOST_TOKENS, asks_one_answer, part_questions


@pytest.mark.parametrize(
    ("question", "names", "first", "last"),
    [
        (
            "What are the capitals of France, Peru and Japan?",
            ["france", "Peru", "Japan"],
            "What are the capitals of France?",
            "What are the capitals of Japan?",
        ),
        (
            "Was kosten Brot, Milch und Käse?",
            ["Brot", "Milch", "Käse"],
            "Was kosten Brot?",
            "Was kosten Käse?",
        ),
        (
            "Work out 14 + 3 and 5 * 2. Show the steps.",
            ["14 + 3", "5 * 2"],
            "Work out 14 + 3. Show the steps.",
            "Work out 5 * 2. Show the steps.",
        ),
        (
            "Ana likes tea. Where do Ana & Ben live?",
            ["Ana", "Ben"],
            "Ana likes tea. Where do Ana live?",
            "Ana likes tea. Where do Ben live?",
        ),
        (
            "Ann | 1\nBob | 2\n\nWho is Ann? How old is Bob?",
            ["Ann", "Bob"],
            "Ann | 1\nBob | 2\n\nWho is Ann?",
            "Ann | 1\nBob | 2\n\n How old is Bob?",
        ),
        ("解释 进程、线程。", ["进程", "线程"], "解释 进程。", "解释 线程。"),
    ],
)
def test_each_part_is_asked_the_question_with_one_item(
    question: str, names: list[str], first: str, last: str
):
    questions = part_questions(question, names)
    assert questions is not None
    assert len(questions) == len(names)
    assert (questions[0], questions[-1]) == (first, last)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Sam has 3 cats. Eve has 5 dogs. How many legs have they?", ["Sam", "Eve"]),
        ("Who is Ann? Who is Bob? Are Ann and Bob friends?", ["Ann", "Bob"]),
        ("Who is Ann? Is Ann older than Bob?", ["Ann", "Bob"]),
        ("Write a guide to bees with the sections Hives and Honey.", ["Hives", "Honey"]),
        ("Compare a bicycle and a car.", ["a bicycle", "a car"]),
        ("Which is older, the Louvre or the Prado?", ["the Louvre", "the Prado"]),
        ("What is the total of 3 * 4 and 5 * 6?", ["3 * 4", "5 * 6"]),
        ("Name the seas of Italy, Spain and France.", ["Italy", "Spain"]),
        ("Name the seas of Italy, Spain and France.", ["Spain", "France"]),
        ("Name the seas of Italy.", ["Italy"]),
        ("Name the seas of Italy and Spain.", ["Spain", "Italy"]),
        ("Name the seas.", ["", " "]),
        ("word " * (2 * MOST_TOKENS) + "of Italy and Spain", ["Italy", "Spain"]),
    ],
)
def test_anything_else_keeps_the_whole_question(question: str, names: list[str]):
    assert part_questions(question, names) is None


def test_hostile_text_is_read_in_linear_time():
    part_questions("a, " * 1_000, ["a"] * 64)
    part_questions("and " * 900, ["and and", "and"])


def test_comparisons_under_aspects_have_answers_of_their_own():
    assert asks_one_answer("Compare tea and coffee.")
    assert not asks_one_answer("Compare tea and coffee: price, taste.")
