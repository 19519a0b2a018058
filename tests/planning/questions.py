"""Questions in several languages: whether they have parts that can be worked on at the same time.

``python -m tests.planning.questions`` prints what the rules say about each.
"""

# ruff: noqa: E501, RUF001 - questions in many scripts

from __future__ import annotations

from collections import Counter

from weaver._data.task import Task
from weaver._planning.policy import Rules

FORK = [
    "What are the capitals of France, Peru and Japan?",
    "Compare tea, coffee and mate: caffeine, taste, price.",
    "Answer the following questions:\n1. Who painted Guernica?\n2. How tall is K2?\n3. When did Rome fall?",
    "Translate each of these into German: good morning; thank you; see you tomorrow",
    "Write a guide to Lima with these sections:\n- History\n- Food\n- Getting around",
    "1) 17 * 23\n2) 91 * 14\n3) 88 - 19\n4) 640 / 16",
    "Who wrote Faust? Where is Mount Elbrus? What is the boiling point of ethanol?",
    "For each of the following cities name one museum: Oslo, Turin, Porto.",
    "Write an essay in five sections of about 90 words each on the history of paper.",
    "Solve these: (a) 3x + 2 = 11 (b) 5x - 4 = 21 (c) x/2 = 9",
    "Give the pros and cons of heat pumps, gas boilers and pellet stoves.",
    "Summarise each paragraph separately:\n\n* The first one is about bees.\n* The second one is about wasps.",
    "Fill in the population for each row:\n| City | Country |\n|---|---|\n| Lima | Peru |\n| Bern | Switzerland |",
    "Berechne:\n1. 12 + 30\n2. 45 - 17\n3. 6 * 9",
    "Beantworte bitte:\na) Wer war Kant?\nb) Wo liegt Tartu?\nc) Was ist ein Quark?",
    "Schreibe je einen Absatz über Bären, Wölfe und Luchse.",
    "Vergleiche Hamburg, Köln und München nach Miete, Verkehr und Kultur.",
    "Compare le train, l'avion et la voiture : prix, durée, pollution.",
    "Pour chaque pays, donne la capitale :\n- Chili\n- Kenya\n- Laos",
    "¿Quién pintó Las Meninas? ¿Cuándo se fundó Cusco? ¿Dónde nace el río Duero?",
    "Para cada palabra escribe una frase:\n• lluvia\n• tren\n• queso",
    "请分别介绍以下城市:\n1、北京\n2、上海\n3、成都",
    "一、什么是光合作用?\n二、什么是熵?\n三、什么是通货膨胀?",
    "介绍北京、上海、广州和深圳的历史。",
    "比较苹果、华为和小米的手机。",
    "写一份报告,包括以下四个部分:背景、方法、结果、结论。",
    "次の質問に答えてください。\n１．富士山の高さは?\n２．日本の首都は?\n３．円の記号は?",
    "東京、大阪、京都の名物をそれぞれ教えてください。",
    "Ответь на вопросы:\n1. Кто написал «Мёртвые души»?\n2. Где находится Байкал?",
    "Сравни кошек и собак: характер, уход, цена.",
    "Confronta Roma, Milano e Napoli: clima, prezzi, trasporti.",
    "Traduza cada frase para o inglês:\n- bom dia\n- boa noite\n- até logo",
    "Beantwoord elke vraag:\n1. Wie schilderde De Nachtwacht?\n2. Waar ligt Gent?",
    "أجب عن الأسئلة التالية:\n١. ما عاصمة مصر؟\n٢. ما عاصمة المغرب؟",
    "다음 질문에 각각 답하세요.\n1. 한국의 수도는?\n2. 일본의 수도는?",
    "Q1: Define osmosis.\nQ2: Define diffusion.\nQ3: Define viscosity.",
    "① 12+7 ② 30-4 ③ 8*8",
]
NOT = [
    "What is the capital of Mongolia?",
    "Who wrote Pride and Prejudice?",
    "Translate 'Where are you? How are you?' into French.",
    "Make pancakes:\n1. Mix flour and milk.\n2. Heat the pan.\n3. Pour in the batter.\n4. Turn it over.\nHow long does it take?",
    "Follow these steps:\n1. Start with 12.\n2. Double it.\n3. Subtract 5.\n4. What is the result?",
    "Take 40; then halve it; then add 3; then say what you have.",
    "- Think of the number 8\n- Then add 4\n- Then divide the result by 3",
    "Which is the largest?\n(a) 0.9 (b) 0.85 (c) 0.099",
    "What is the capital of Australia?\nA) Sydney\nB) Canberra\nC) Perth",
    "Sort these numbers: 9; 3; 27; 1",
    "Which word is the odd one out: apple; pear; hammer; plum?",
    "Tell a story in one paragraph about a fox who learns to swim.",
    "Steps to follow:\n- Write one sentence about rain.\n- Translate it into Spanish.\n- Count the words of the result.",
    "Wie hoch ist die Zugspitze?",
    "Rezept:\n1. Zwiebeln schneiden\n2. Die Zwiebeln anbraten\n3. Dann alles mit Wasser ablöschen\nWie lange dauert das?",
    "Nimm 7, addiere 5, dann verdopple das Ergebnis.",
    "Welche Zahl ist am größten?\na) 12\nb) 21\nc) 18",
    "Quelle est la capitale du Canada ?",
    "Pars de 10, ajoute 4, puis double le résultat.",
    "¿Cuál es la capital de Noruega?",
    "Empieza con 6, suma 2 y luego multiplica el resultado por 5.",
    "法国的首都是哪里?",
    "先取 8,然后加 4,再除以 3,最后的结果是多少?",
    "步骤:\n1、切洋葱\n2、炒洋葱\n3、然后加水\n一共需要多久?",
    "下列哪个数最大?\nA. 12\nB. 21\nC. 18",
    "日本で一番高い山は何ですか。",
    "Столица Австралии?",
    "Возьми 9, прибавь 3, затем раздели результат на 4.",
    "Add up the following: 12; 7; 30",
    "Choose the correct spelling: (a) recieve (b) receive (c) receeve",
    "Write a haiku about the sea.",
    "Step 1: read the text. Step 2: find its main idea. Step 3: rewrite the idea as a question.",
]
UNSURE = [
    "Explain how a bicycle stays upright and why it matters for the design of the front fork.",
    "Plan a weekend in Porto for two people who like books and dislike crowds.",
    "Write a story with these elements:\n- a lighthouse\n- a stolen map\n- an apology",
    "Who is the oldest living former president of the United States, and what did he study?",
    "I bought three books for 12 each and two for 7 each, then sold one for 9. What did I pay in the end?",
    "Erkläre, wie ein Kühlschrank funktioniert und warum die Rückwand warm wird.",
    "解释一下为什么天空是蓝色的,以及日落为什么是红色的。",
]

# Written after the rules, and not used to make them.
FORK_LATER = [
    "Please help me with my homework.\n1. Explain photosynthesis.\n2. What is the square root of 289?\n3. Name two rivers in Asia.",
    "Write product descriptions for:\n- a steel water bottle\n- a wool hat\n- a bamboo toothbrush",
    "Give me a short biography of each of these people:\n* Ada Lovelace\n* Alan Turing\n* Grace Hopper",
    "Convert to metric: 5 miles; 10 pounds; 3 gallons",
    "I have some questions. Who discovered penicillin? Which planet has the most moons? Why do cats purr?",
    "Define (1) entropy, (2) enthalpy and (3) free energy.",
    "Proofread these emails one by one:\n\n1. Dear Tom, I are late.\n\n2. Hi Ann, see you tommorow.",
    "What is the weather like in May in Oslo, Lisbon, and Athens?",
    "List three facts about every country: Chad, Fiji, Peru.",
    "Gib für jedes Wort ein Synonym an: schnell; laut; klug",
    "Was bedeuten diese Abkürzungen?\n- NATO\n- UNESCO\n- OPEC",
    "Décris ces trois villes:\n1. Lyon\n2. Lille\n3. Nantes",
    "Escribe un poema corto sobre cada estación: primavera, verano, otoño, invierno.",
    "翻译以下句子:\n(1) 我喜欢茶。\n(2) 他在哪里?\n(3) 今天很冷。",
    "请回答:①水的沸点是多少?②谁发明了电话?",
    "下の単語の意味を説明してください:\n・民主主義\n・資本主義\n・社会主義",
    "Объясни каждый термин: инфляция; дефицит; девальвация",
    "i) Integrate x^2. ii) Differentiate sin x. iii) Solve x^2 = 9.",
    "Analyse these three products: strengths, weaknesses, price.\n- Kindle\n- Kobo\n- PocketBook",
    "A train question: 120 km in 2 h, what speed? A sum: what is 45 + 67? A word: what is the plural of ox?",
]
NOT_LATER = [
    "What time is it in Tokyo when it is noon in Rome?",
    "Which of these cities is furthest north?\n- Oslo\n- Lisbon\n- Athens",
    "Here is my shopping list:\n- milk\n- eggs\n- bread\nHow much will it cost if each item is 2 euros?",
    "Rewrite this sentence in the passive: The dog chased the cat.",
    "1. Take the square root of 81.\n2. Add 4 to it.\n3. Divide that by 13.",
    "First read the paragraph. Then list its nouns. Finally count them.",
    "Put these events in order:\na) fall of Rome\nb) moon landing\nc) French Revolution",
    "Is the sentence 'Who goes there? Friend or foe?' a question?",
    "Combine these notes into one paragraph:\n- rain in the morning\n- sun at noon\n- storm at night",
    "A recipe for soup says:\n1) Chop the onions\n2) Fry them in oil\n3) Pour in the stock\nIs it vegan?",
    "Ordne die Zahlen: 12; 3; 45",
    "Wie viele Buchstaben hat das Wort Haus?",
    "Schritt 1: Nimm 10. Schritt 2: Zieh 4 ab. Schritt 3: Verdopple.",
    "Mets ces mots dans l'ordre : chat; le; dort",
    "¿Qué número sigue: 2; 4; 8; 16?",
    "哪个城市最大?\n- 北京\n- 上海\n- 广州",
    "把 5 乘以 3,然后减去 2,得到多少?",
    "次のうち最も高い山はどれですか。\n1. 富士山\n2. 北岳\n3. 穂高岳",
    "What is 6 times 7?",
    "Write one sentence that uses these words: moon; ladder; frog",
]

# Lists and questions that must not be split: data, facts, rules, words for one text, a story in three parts.
LIKE_PARTS = [
    "Write a poem that uses each of these words: moon; river; glass",
    "Make a single sentence from these words:\n- cat\n- hat\n- sat",
    "Create a schedule for my day:\n- 8:00 gym\n- 9:00 work\n- 18:00 dinner with each of my friends",
    "What do these animals have in common?\n- bat\n- whale\n- dog",
    "Here are my symptoms:\n1. headache\n2. fever\n3. cough\nWhat could it be?",
    "Given the facts:\n1. All men are mortal.\n2. Socrates is a man.\nWhat follows?",
    "Rules of the game:\n- Each player draws two cards.\n- The highest card wins.\n- Ties are replayed.\nWho wins if I draw 5 and 7 and you draw 8 and 2?",
    "My code prints 3 lines:\n1. a\n2. b\n3. c\nWhy is the order reversed every time?",
    "Solve this riddle: I speak without a mouth; I hear without ears; I come alive with wind. What am I?",
    "Translate this poem:\n- Roses are red\n- Violets are blue",
    "Plan a trip with these stops:\n1. Rome\n2. Florence\n3. Venice",
    "Is this a valid proof?\n1. Let x = y.\n2. Then x^2 = xy.\n3. Then x = 0.",
    "Write an email to Tom about:\n- the delay\n- the new date\n- the apology",
    "Who is taller? Tom is 180 cm. Is Ann 175 cm? Then who is taller?",
    "Where does the name Oslo come from? And what does it mean?",
    "How old is the pope? When was he born?",
    "Design a database for a shop. Requirements:\n- users can log in\n- each user has orders\n- orders have items",
    "Write a function that:\n1. reads a file\n2. counts words\n3. prints the result",
    "Write a Python class with the methods:\n- push\n- pop\n- peek",
    "Fix the following text: I has a dog; he are big; we is happy",
    "Explain the joke: a man walks into a bar; ouch",
    "Summarise the meeting notes:\n- budget approved\n- hiring paused\n- office moves in May",
    "Write a story in three parts:\n1. The hero leaves home\n2. The hero meets a dragon\n3. The hero returns",
    "Continue the list:\n1. red\n2. orange\n3. yellow",
    "Schreibe eine Geschichte mit diesen Wörtern:\n- Mond\n- Leiter\n- Frosch",
    "用以下词语造一个句子:\n- 月亮\n- 梯子\n- 青蛙",
    "Fais une phrase avec ces mots :\n- lune\n- échelle\n- grenouille",
    "What is the total cost?\n| item | price |\n|---|---|\n| pen | 2 |\n| book | 9 |",
    "Alice says: 'Is it raining?' Bob says: 'Who knows?' Who asked first?",
    "First find the capital of Peru. Second, find its population. Third, say whether it is larger than Quito.",
    "Q: What is 2+2?\nA: 4\nQ: What is 3+3?\nA:",
    "A. Read the text below.\nB. Answer the question after it.",
    "1. Choose a random number.\n2. Tell me whether that number is prime.",
    "Tell me: (a) the best city to live in and (b) why it is the best.",
    "Two truths and a lie:\n- I have been to Mars.\n- I like tea.\n- I can swim.\nWhich one is the lie?",
]


def main() -> None:
    rules = Rules()
    tables = (
        ("fork", FORK),
        ("not", NOT),
        ("unsure", UNSURE),
        ("fork later", FORK_LATER),
        ("not later", NOT_LATER),
    )
    for label, questions in tables:
        counts = Counter(rules.judge(Task(q)).lean for q in questions)
        print(label, len(questions), dict(counts))
        wrong = {"fork": "direct", "not": "plan"}.get(label.split()[0])
        for question in questions:
            judgement = rules.judge(Task(question))
            mark = "!!" if judgement.lean == wrong else "  "
            print(f"  {mark} {judgement.lean:6} {judgement.reason[:50]:50} {question[:70]!r}")


if __name__ == "__main__":
    main()
