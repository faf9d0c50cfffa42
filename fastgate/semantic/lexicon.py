"""English words that are read in a way of their own: which carry no meaning of a question, which mean the same.

Written by hand from general knowledge of the language; a few words that mean the same were added on sight of pairs that
the vetoes stopped on the half for developing (docs/semantic-cache.md).
"""

STOP = frozenset(
    """
    a an the this that these those some any each every either all both such same other another i me my mine myself we
    us our ours you your yours yourself one ones someone somebody anyone anybody people person it its itself they them
    their theirs am is are was were be been being do does did done doing have has had having can could will would
    shall should may might must ought need let and or but nor so yet if then than as of to in on at by for with from
    into onto about over under between among through during up out off upon within across per via toward towards
    around what which who whom whose when where why how whether there here also too very just only even still ever
    really actually exactly basically simply please kindly quite rather etc eg ie vs versus not no s t """.split()
)
"""Words whose presence alone changes no answer. Those of negation are looked at by a veto."""

AUXILIARIES = frozenset(
    "am is are was were do does did have has had can could will would shall should may might must".split()
)

FILLER = frozenset(
    """
    best good great better well nice top way ways method methods tip tips idea ideas thing things something anything
    get getting got make making made go going become use using used want know think say tell give take find see look
    much many most more lot lots possible possibly main major various different new currently now today nowadays
    easily easy easiest simple quickly quick fast properly effectively efficiently effective efficient example
    examples kind kinds type types sort sorts reason reasons part fact mean meaning explain describe suggest recommend
    able start begin help happen happens like exist """.split()
)
"""Words that carry little: with or without one, questions are often the same."""

CONTRACTED: dict[str, tuple[str, ...]] = {
    "can't": ("can", "not"), "cant": ("can", "not"), "cannot": ("can", "not"), "won't": ("will", "not"),
    "wont": ("will", "not"), "shan't": ("shall", "not"), "ain't": ("is", "not"), "aint": ("is", "not"),
    "dont": ("do", "not"), "doesnt": ("does", "not"), "didnt": ("did", "not"), "isnt": ("is", "not"),
    "arent": ("are", "not"), "wasnt": ("was", "not"), "werent": ("were", "not"), "hasnt": ("has", "not"),
    "havent": ("have", "not"), "hadnt": ("had", "not"), "couldnt": ("could", "not"), "shouldnt": ("should", "not"),
    "wouldnt": ("would", "not"), "mustnt": ("must", "not"), "what's": ("what", "is"), "whats": ("what", "is"),
    "who's": ("who", "is"), "whos": ("who", "is"), "where's": ("where", "is"), "wheres": ("where", "is"),
    "how's": ("how", "is"), "hows": ("how", "is"), "why's": ("why", "is"), "when's": ("when", "is"),
    "it's": ("it", "is"), "that's": ("that", "is"), "there's": ("there", "is"), "he's": ("he", "is"),
    "she's": ("she", "is"), "let's": ("let", "us"), "i'm": ("i", "am"), "im": ("i", "am"), "ive": ("i", "have"),
    "i've": ("i", "have"), "whatis": ("what", "is"), "u": ("you",), "ur": ("your",), "pls": ("please",),
    "plz": ("please",),
}  # fmt: skip

NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        """
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
        eighteen nineteen
        """.split()
    )
    if word != "one"  # mostly a pronoun
} | {
    word: str(10 * value)
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
NUMBER_WORDS |= {
    word: str(value)
    for value, word in enumerate("first second third fourth fifth sixth seventh eighth ninth tenth".split(), 1)
}
NUMBER_WORDS |= {"twice": "2", "thrice": "3", "dozen": "12"}
ROMAN = {"II": "2", "III": "3", "IV": "4", "VI": "6", "VII": "7", "VIII": "8", "IX": "9", "XI": "11", "XII": "12"}

SCALES = {
    "hundred": 100, "thousand": 1_000, "k": 1_000, "lakh": 100_000, "lakhs": 100_000, "lac": 100_000,
    "million": 1_000_000, "millions": 1_000_000, "mn": 1_000_000, "crore": 10_000_000, "crores": 10_000_000,
    "billion": 1_000_000_000, "bn": 1_000_000_000, "trillion": 1_000_000_000_000,
}  # fmt: skip

IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "kids": "child", "kid": "child", "teeth": "tooth",
    "feet": "foot", "mice": "mouse", "lives": "life", "wives": "wife", "bought": "buy", "sold": "sell", "went": "go",
    "gone": "go", "made": "make", "got": "get", "gotten": "get", "won": "win", "lost": "lose", "losing": "lose",
    "taught": "teach", "thought": "think", "wrote": "write", "spoke": "speak", "spoken": "speak",
    "began": "begin", "begun": "begin", "chose": "choose", "chosen": "choose", "choosing": "choose", "ran": "run",
    "running": "run", "said": "say", "told": "tell", "took": "take", "taken": "take", "gave": "give", "given": "give",
    "found": "find", "left": "left", "built": "build", "spent": "spend", "sent": "send", "felt": "feel",
    "kept": "keep", "paid": "pay", "met": "meet", "broke": "break", "broken": "break", "stolen": "steal",
    "stole": "steal", "fell": "fall", "fallen": "fall", "grew": "grow", "grown": "grow", "knew": "know",
    "known": "know", "dying": "die", "died": "die", "lying": "lie", "better": "good", "best": "good", "worse": "bad",
    "worst": "bad", "better's": "good", "countries": "country", "companies": "company", "using": "use", "used": "use",
    "dead": "dead", "thing": "thing", "something": "thing", "nothing": "nothing", "during": "during", "king": "king",
    "ring": "ring", "string": "string", "strings": "string", "spring": "spring", "bring": "bring", "brought": "bring",
    "morning": "morning", "evening": "evening", "wedding": "wedding", "ceiling": "ceiling", "news": "news",
    "series": "series", "species": "species", "need": "need", "speed": "speed", "seed": "seed", "feed": "feed",
    "indeed": "indeed", "hundred": "hundred", "family": "family", "only": "only", "reply": "reply", "apply": "apply",
    "supply": "supply", "july": "july", "italy": "italy", "rely": "rely", "early": "early", "fly": "fly",
    "programme": "program", "programmes": "program", "colour": "color", "colours": "color", "favourite": "favorite",
    "behaviour": "behavior", "centre": "center", "centres": "center", "grey": "gray", "organisation": "organization",
    "organisations": "organization", "organise": "organize", "labour": "labor", "litre": "liter", "metre": "meter",
    "theatre": "theater", "licence": "license", "mum": "mother", "mom": "mother", "dad": "father",
}  # fmt: skip

GROUPS = tuple(
    tuple(group.split("/"))
    for group in """
    scary/terrifying/frightening energy/power exchange/swap habitual/pathological wonderful/amazing/awesome/great
    often/frequently interesting/fascinating funny/hilarious delicious/tasty boring/dull garbage/trash/rubbish
    truck/lorry elevator/lift apartment/flat sofa/couch autumn/fall soccer/football gift/present parent/parents
    airplane/aeroplane/plane/airliner/aircraft psycho/psychopath buy/purchase/purchasing
    begin/start/starting/commence end/finish learn/study/studying earn/gain
    increase/raise/boost/grow decrease/reduce/lower/lessen/diminish improve/enhance/better
    difference/distinction/differ/different big/large/huge small/little/tiny rich/wealthy smart/intelligent/clever
    stupid/dumb/idiot happy/glad sad/unhappy angry/mad job/employment company/firm money/cash movie/film
    photo/picture/pic/photograph/image car/automobile phone/smartphone/mobile/cellphone/cell computer/pc
    website/site/webpage internet/web app/application software/program quit/stop choose/select/pick fix/repair
    solve/resolve delete/remove/erase create/build avoid/prevent cure/heal/treat/treatment illness/disease/sickness
    doctor/physician/dr kill/murder allow/permit forbid/prohibit/ban get/obtain/acquire
    important/significant/importance necessary/required/essential advantage/benefit/pro
    disadvantage/drawback/con/downside danger/risk/hazard dangerous/risky famous/popular/wellknown ugly/unattractive
    pretty/beautiful/attractive cheap/inexpensive/affordable expensive/costly cost/price salary/pay/wage/package
    fat/overweight/obese teach/educate teacher/instructor/tutor student/pupil university/college girl/lady boy/guy
    wife/spouse marriage/wedding country/nation city/town usa/us/america/american uk/britain/british india/indian
    wage/earnings mountain/mount/mt saint/st trip/journey/tour travel/travelling/visit live/reside house/home
    food/meal hate/dislike love/adore forget/forgot/forgotten remember/recall recover/recovery/retrieve/restore
    lose/loss/lost win/victory possibility/chance/probability/likelihood purpose/aim/goal
    meaning/definition/define/mean cause/reason effect/impact/consequence/influence solution/answer question/query
    problem/issue/trouble mistake/error prepare/preparation crack/clear test/exam/examination interview/interviews
    resume/cv novel/book author/writer song/music actor/actress scared/afraid fear/phobia happen/occur need/require
    use/utilize/utilise show/display hide/conceal view/opinion/thought believe/belief trust/rely sick/ill
    tired/exhausted/fatigue speak/talk speaking/fluent ask/request reply/respond/response become/turn
    overcome/conquer/deal/cope get/rid concentrate/focus handle/manage join/enter leave/exit long/lengthy
    quick/fast/rapid/speedy slow/sluggish hard/difficult/tough easy/simple true/real false/fake crazy/insane
    alien/extraterrestrial universe/cosmos ocean/sea stone/rock road/street startup/business/entrepreneur
    trick/hack/tip laptop/notebook tv/television advertisement/ad/advert vacation/holiday wash/clean
    scientist/researcher function/work/operate maths/math/mathematics note/banknote rupee/rs/inr dollar/usd euro/eur
    pound/gbp rid/removal
    """.split()
)
"""Words that mean the same in most questions; the first of each group stands for all."""
