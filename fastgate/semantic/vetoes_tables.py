"""What the vetoes look up: words of negation, opposites, units, dates, places, languages. Written by hand."""

NEGATIONS = frozenset(
    """
    not never no nobody nothing nowhere neither nor without none unable impossible fail fails failed failing lack lacks
    lacking hardly barely avoid avoids avoided avoiding prevent prevents prevented preventing incapable inability
    except non
    """.split()
)
"""Words that turn a question round."""

HARMLESS = (
    "why or why not", "if not why", "if not then why", "whether or not", "or not", "not only", "no matter", "no doubt",
    "is not it", "do not you think", "does not it", "are not they", "non veg",
)  # fmt: skip
"""Phrases in which a negation turns nothing round, or nothing that another phrase would not; taken out first."""

OPPOSITES = tuple(
    tuple(pair.split("/"))
    for pair in """
    increase/decrease increase/reduce rise/fall raise/lower up/down gain/lose win/lose buy/sell purchase/sell
    lend/borrow give/take send/receive import/export upload/download open/close start/stop begin/end start/end
    start/finish enable/disable activate/deactivate lock/unlock encrypt/decrypt encode/decode compress/decompress
    install/uninstall connect/disconnect add/remove add/delete insert/delete create/destroy create/delete
    build/destroy attach/detach push/pull push/pop enter/exit enter/leave arrive/depart arrive/leave accept/reject
    accept/refuse allow/forbid allow/block permit/prohibit include/exclude love/hate like/dislike like/hate
    agree/disagree approve/reject admit/deny remember/forget learn/forget attack/defend hire/fire pass/fail
    succeed/fail save/spend save/waste earn/spend melt/freeze heat/cool boil/freeze expand/contract expand/shrink
    grow/shrink appear/disappear show/hide follow/unfollow subscribe/unsubscribe like/unlike friend/unfriend
    block/unblock mount/unmount do/undo wrap/unwrap hot/cold warm/cool big/small large/small long/short tall/short
    high/low deep/shallow wide/narrow thick/thin fat/thin fat/slim heavy/light fast/slow quick/slow early/late old/new
    old/young good/bad good/evil best/worst better/worse right/wrong right/left true/false positive/negative rich/poor
    strong/weak hard/soft hard/easy difficult/easy easy/tough cheap/expensive safe/dangerous safe/unsafe clean/dirty
    wet/dry full/empty light/dark bright/dark loud/quiet rough/smooth sharp/dull sharp/blunt happy/sad
    optimist/pessimist introvert/extrovert introverted/extroverted brave/coward polite/rude generous/stingy
    beautiful/ugly pretty/ugly smart/stupid intelligent/stupid healthy/sick healthy/unhealthy alive/dead life/death
    birth/death live/die male/female man/woman boy/girl husband/wife father/mother brother/sister son/daughter
    king/queen uncle/aunt he/she him/her his/her boyfriend/girlfriend groom/bride gentleman/lady actor/actress
    grandfather/grandmother day/night morning/evening summer/winter sunrise/sunset dawn/dusk today/tomorrow
    today/yesterday yesterday/tomorrow before/after above/below over/under inside/outside indoor/outdoor
    internal/external inner/outer front/back top/bottom upper/lower north/south east/west northern/southern
    eastern/western first/last next/previous future/past ancient/modern maximum/minimum max/min maximize/minimize
    maximise/minimise most/least more/less more/fewer many/few ascending/descending ascend/descend horizontal/vertical
    row/column odd/even prime/composite divide/multiply add/subtract addition/subtraction multiplication/division
    plus/minus numerator/denominator integral/derivative differentiate/integrate convex/concave input/output
    read/write client/server sender/receiver frontend/backend public/private static/dynamic serial/parallel
    synchronous/asynchronous sync/async compile/decompile online/offline wired/wireless hardware/software
    analog/digital manual/automatic local/global local/remote domestic/foreign domestic/international rural/urban
    city/village supply/demand profit/loss asset/liability credit/debit income/expense income/expenditure revenue/cost
    employer/employee employed/unemployed buyer/seller landlord/tenant teacher/student doctor/patient parent/child
    master/slave host/guest winner/loser friend/enemy ally/enemy hero/villain war/peace victory/defeat
    advantage/disadvantage pro/con strength/weakness benefit/drawback benefit/risk benefit/harm beneficial/harmful
    reward/punishment problem/solution cause/effect cause/cure cause/prevent question/answer theory/practice
    theoretical/practical quantity/quality similarity/difference same/different similar/different major/minor
    majority/minority general/specific simple/complex single/multiple single/married singular/plural
    temporary/permanent voluntary/mandatory optional/mandatory optional/required legal/illegal formal/informal
    natural/artificial natural/synthetic organic/inorganic real/fake solid/liquid acid/base acidic/alkaline
    acidic/basic artery/vein plant/animal predator/prey carnivore/herbivore vertebrate/invertebrate
    conductor/insulator proton/electron oxidation/reduction endothermic/exothermic exothermic/endothermic
    ionic/covalent kinetic/potential mitosis/meiosis dominant/recessive aerobic/anaerobic innate/acquired
    benign/malignant acute/chronic systolic/diastolic hypertension/hypotension hyperglycemia/hypoglycemia
    hyperthyroidism/hypothyroidism inhale/exhale constipation/diarrhea republican/democrat liberal/conservative
    capitalism/socialism capitalism/communism democracy/dictatorship atheist/theist believer/atheist heaven/hell
    god/devil angel/demon virtue/vice guilty/innocent plaintiff/defendant prosecution/defense lawful/unlawful
    vegetarian/carnivore veg/nonveg sweet/sour sweet/salty raw/cooked breakfast/dinner breakfast/lunch lunch/dinner
    black/white nearest/farthest near/far closest/furthest shallow/deep present/absent present/past entrance/exit
    departure/arrival inbound/outbound incoming/outgoing bull/bear bullish/bearish call/put bid/ask stock/bond
    inflation/deflation surplus/deficit lender/borrower debtor/creditor increment/decrement enqueue/dequeue
    serialize/deserialize signed/unsigned mutable/immutable stack/heap success/failure hit/miss lead/follow
    leader/follower extend/shorten lengthen/shorten tighten/loosen strengthen/weaken improve/worsen speed/slow
    accelerate/decelerate accelerate/brake wake/sleep awake/asleep sit/stand on/off left/stay stay/leave
    visible/invisible clockwise/counterclockwise clockwise/anticlockwise uppercase/lowercase prefix/suffix head/tail
    vowel/consonant noun/verb active/passive direct/indirect transitive/intransitive fiction/nonfiction comedy/tragedy
    amateur/professional beginner/expert beginner/advanced junior/senior undergraduate/postgraduate
    undergraduate/graduate bachelor/master freshman/senior novice/expert
    often/rarely often/seldom frequently/rarely always/rarely greater/less greater/smaller maximum/average
    minimum/average mean/median median/mode last/next past/next earlier/later above/under ago/later careful/careless
    useful/useless hopeful/hopeless weekday/weekend
    """.split()
)

PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "anti", "de", "mis", "a", "ab")
"""With one of these a word is the opposite of what it is without."""

TURNED_PREFIXES = tuple(
    tuple(pair.split("/"))
    for pair in """
    over/under pre/post up/down in/out hyper/hypo macro/micro inter/intra ex/im sub/super
    pro/anti multi/single homo/hetero
    mono/poly endo/exo intro/extro fore/hind
    """.split()
)
"""With one of the two a word is the opposite of what it is with the other."""

PARTICLES = {"in": "out", "out": "in", "on": "off", "off": "on", "up": "down", "down": "up", "into": "out"}
"""After the same word, one turns round what the other says."""

KINDS: tuple[frozenset[str], ...] = tuple(
    frozenset(line.split())
    for line in """
    red blue green yellow orange purple pink brown black white gray silver golden
    cat dog horse cow pig sheep goat chicken duck rabbit hamster lion tiger bear wolf fox elephant monkey snake whale \
    shark eagle
    iron copper gold silver zinc lead tin aluminum nickel titanium steel bronze brass platinum mercury \
    lithium sodium potassium
    oxygen hydrogen nitrogen carbon helium chlorine sulfur phosphorus
    football soccer cricket tennis basketball baseball hockey golf rugby volleyball badminton chess boxing swimming
    guitar piano violin drum flute cello trumpet saxophone ukulele harp
    apple banana mango grape lemon pear peach cherry strawberry pineapple watermelon
    potato tomato onion carrot garlic spinach broccoli cabbage cucumber
    tea coffee milk beer wine whiskey vodka juice
    beef pork chicken lamb turkey fish salmon tuna shrimp
    rice wheat corn oats barley pasta bread
    heart liver kidney lung brain stomach pancreas spleen
    knee elbow shoulder ankle wrist hip neck back
    physics chemistry biology history geography economics psychology sociology philosophy accounting statistics \
    algebra calculus
    diabetes cancer asthma arthritis malaria tuberculosis cholera measles pneumonia hepatitis
    bicycle motorcycle bus train airplane ship truck
    doctor nurse lawyer teacher engineer pilot chef plumber electrician carpenter accountant
    mother father brother sister uncle aunt cousin grandmother grandfather nephew niece
    kitchen bathroom bedroom garage basement attic garden
    wood glass plastic leather cotton silk wool paper concrete
    shirt trousers shoe hat jacket skirt sock
    gre gmat toefl ielts sat cat gate jee neet upsc
    bachelor master phd mba
    pdf docx csv json xml yaml html markdown txt xlsx
    png jpg jpeg gif svg bmp tiff
    mp3 mp4 wav flac avi mkv
    zip tar rar gzip
    tcp udp http https ftp ssh smtp imap dns
    int float double boolean char string
    let const var
    null undefined nan
    tuple list dict dictionary array
    merge rebase fetch pull push stash checkout clone
    cpu gpu ram ssd hdd
    chrome firefox safari edge opera
    word excel powerpoint outlook
    circle square triangle rectangle hexagon pentagon
    pound kilogram gram ounce
    north south east west
    """.strip().splitlines()
)
"""Words of one kind, of which one is not another: each line a kind."""

MONTHS = (
    "january february march april may june july august september october november december".split(),
    "jan feb mar apr may jun jul aug sep oct nov dec".split(),
)
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
RELATIVE = frozenset(
    "today tomorrow yesterday tonight spring summer autumn fall winter morning afternoon evening night noon midnight "
    "christmas easter diwali eid thanksgiving ramadan holi halloween bc ad bce ce weekend weekday decade "
    "century".split()
)
"""Words that say when. They count where both questions have one and the other's is not there."""

NEARNESS = frozenset("this last next past previous coming following current".split())
PERIODS = frozenset(
    "day night week weekend month quarter semester term season year decade century monday tuesday wednesday thursday "
    "friday saturday sunday".split()
)
"""``last year`` and ``next year`` are two times; so is what was some years ``ago``."""

UNITS: dict[str, str] = {
    name: line.partition(":")[0]
    for line in """
    meter:meters/metre/metres/meter kilometer:km/kms/kilometer/kilometers/kilometre/kilometres
    centimeter:cm/cms/centimeter/centimeters/centimetre/centimetres
    millimeter:mm/millimeter/millimeters/millimetre/millimetres micrometer:micron/microns/micrometer/micrometers
    nanometer:nm/nanometer/nanometers mile:mile/miles yard:yards foot:ft/feet inch:inch/inches
    lightyear:lightyear/lightyears gram:gram/grams/gm/gms kilogram:kg/kgs/kilo/kilos/kilogram/kilograms
    milligram:mg/milligram/milligrams microgram:mcg/microgram/micrograms pound:lb/lbs/pounds ounce:oz/ounce/ounces
    ton:ton/tons tonne:tonne/tonnes stone:stones carat:carat/carats liter:liter/liters/litre/litres
    milliliter:ml/milliliter/milliliters/millilitre/millilitres gallon:gallon/gallons pint:pint/pints
    quart:quart/quarts cup:cup/cups teaspoon:teaspoon/teaspoons/tsp tablespoon:tablespoon/tablespoons/tbsp
    barrel:barrel/barrels celsius:celsius/centigrade fahrenheit:fahrenheit kelvin:kelvin degree:degree/degrees
    radian:radian/radians second:seconds/sec/secs millisecond:ms/millisecond/milliseconds
    microsecond:us/microsecond/microseconds nanosecond:ns/nanosecond/nanoseconds minute:minute/minutes/min/mins
    hour:hour/hours/hr/hrs day:days week:week/weeks month:month/months year:years/yr/yrs bit:bits byte:byte/bytes
    kilobyte:kb/kilobyte/kilobytes megabyte:mb/megabyte/megabytes gigabyte:gb/gigabyte/gigabytes
    terabyte:tb/terabyte/terabytes kilobit:kbps/kilobit/kilobits megabit:mbps/megabit/megabits
    gigabit:gbps/gigabit/gigabits mebibyte:mib/mebibyte/mebibytes gibibyte:gib/gibibyte/gibibytes hertz:hz/hertz
    kilohertz:khz/kilohertz megahertz:mhz/megahertz gigahertz:ghz/gigahertz watt:watt/watts
    kilowatt:kw/kilowatt/kilowatts megawatt:mw/megawatt/megawatts kilowatthour:kwh horsepower:hp/horsepower/bhp
    volt:volt/volts millivolt:mv/millivolts amp:amp/amps/ampere/amperes milliamp:ma/mah/milliamp/milliamps
    ohm:ohm/ohms joule:joule/joules kilojoule:kj/kilojoule/kilojoules calorie:calorie/calories/cal
    kilocalorie:kcal/kilocalorie/kilocalories newton:newtons pascal:pascals kilopascal:kpa psi:psi bar:bars
    atmosphere:atm/atmospheres acre:acre/acres hectare:hectare/hectares sqft:sqft mph:mph kmh:kmh/kmph/kph knot:knots
    mole:moles decibel:db/decibel/decibels lumen:lumens pixel:pixel/pixels/px dpi:dpi percent:percent
    dollar:dollar/dollars/usd/$ euro:euro/euros/eur/€ sterling:gbp/£ rupee:rupee/rupees/rs/inr/₹ yen:yen/jpy/¥
    yuan:yuan/rmb/cny franc:franc/francs/chf peso:peso/pesos won:krw ruble:ruble/rubles/rub dirham:dirham/dirhams/aed
    riyal:riyal/riyals bitcoin:bitcoin/bitcoins/btc ether:ether/eth cent:cent/cents penny:pence/pennies
    """.split()
    for name in line.partition(":")[2].split("/")
}
"""Every way to write a unit, to its name."""
SHORT_UNITS = {
    "g": "gram", "m": "meter", "s": "second", "l": "liter", "w": "watt", "v": "volt", "h": "hour", "c": "celsius",
    "f": "fahrenheit",
    "k": "kelvin", "a": "amp", "j": "joule", "n": "newton", "pa": "pascal", "am": "forenoon", "pm": "afternoon",
}  # fmt: skip
UNITS |= SHORT_UNITS
EACH = {
    "day": "day", "year": "year", "daily": "day", "weekly": "week", "monthly": "month", "yearly": "year",
    "annual": "year",
    "annually": "year", "hourly": "hour", "second": "second",
}  # fmt: skip
"""These are units after a number, ``per``, ``each`` or ``every``; those that end in ``-ly``, wherever they stand."""
UNITS |= EACH
MEASURES = {
    unit: measure
    for measure, units in {
        "time": "second millisecond microsecond nanosecond minute hour day week month year",
        "money": "dollar euro sterling rupee yen yuan franc peso won ruble dirham riyal bitcoin ether cent penny",
        "day": "forenoon afternoon",
    }.items()
    for unit in units.split()
}
"""What a unit measures, where it could be told apart. Units of different kinds do not exclude each other."""
AMBIGUOUS_UNITS = (
    frozenset("ms us mb ma mw hp bar cal cup stone oz min sec won rub eth ns nm db ton bit knot mole".split())
    | set(SHORT_UNITS)
    | {"day", "year", "second", "annual"}
)
"""These are units after a number only."""

PLACES = frozenset(
    """
    afghanistan albania algeria argentina armenia australia austria azerbaijan bahrain bangladesh belarus belgium
    bhutan bolivia bosnia brazil bulgaria cambodia cameroon canada chile china colombia congo croatia cuba cyprus
    czechia denmark ecuador egypt england estonia ethiopia fiji finland france georgia germany ghana greece guatemala
    haiti honduras hungary iceland india indonesia iran iraq ireland israel italy jamaica japan jordan kazakhstan
    kenya korea kuwait laos latvia lebanon libya lithuania luxembourg malaysia maldives malta mexico moldova mongolia
    morocco myanmar namibia nepal netherlands zealand nicaragua niger nigeria norway oman pakistan palestine panama
    paraguay peru philippines poland portugal qatar romania russia rwanda scotland senegal serbia singapore slovakia
    slovenia somalia spain sudan sweden switzerland syria taiwan tajikistan tanzania thailand tunisia turkey uganda
    ukraine usa uk america britain uruguay uzbekistan venezuela vietnam wales yemen zambia zimbabwe dubai chinese
    japanese korean french german italian spanish portuguese russian arabic turkish greek dutch swedish norwegian
    danish finnish polish czech hungarian romanian ukrainian hebrew hindi urdu bengali tamil telugu marathi gujarati
    punjabi malayalam kannada thai vietnamese indonesian malay swahili persian latin sanskrit english irish welsh
    scottish american british canadian australian mexican brazilian pakistani indian africa asia europe antarctica
    london paris berlin madrid rome moscow tokyo beijing shanghai delhi mumbai bangalore bengaluru chennai kolkata
    hyderabad pune ahmedabad jaipur lucknow gurgaon noida chandigarh kerala goa karnataka maharashtra gujarat punjab
    rajasthan bihar odisha assam kashmir telangana sydney melbourne toronto vancouver montreal chicago boston seattle
    dallas houston austin atlanta miami denver philadelphia california texas florida ohio michigan arizona oregon
    nevada utah amsterdam vienna zurich geneva munich hamburg frankfurt barcelona lisbon dublin edinburgh manchester
    istanbul cairo lagos nairobi johannesburg karachi lahore islamabad dhaka kathmandu colombo bangkok jakarta manila
    seoul osaka kyoto taipei hanoi python java javascript typescript ruby perl php rust golang kotlin swift scala
    haskell matlab fortran cobol sql mysql postgresql mongodb oracle sqlite django flask rails laravel angular react
    vue jquery nodejs windows linux ubuntu debian macos ios android google facebook twitter instagram whatsapp
    snapchat youtube amazon microsoft apple samsung netflix uber quora linkedin reddit yahoo gmail skype obama trump
    clinton modi gandhi putin hitler stalin lincoln shakespeare einstein newton mercury venus mars jupiter saturn
    uranus neptune pluto christianity islam hinduism buddhism judaism sikhism christian muslim hindu buddhist jewish
    sikh
    """.split()
)
"""Names that are often written without their capital, and of which one never stands for another."""

LANGUAGES: dict[str, frozenset[str]] = {
    "fr": frozenset(
        "au aux avec ce cette comment dans des du elle est et il je la le les nous ou où pour pourquoi que "
        "quel quelle quelles quels qui sont une vous".split()
    ),
    "de": frozenset(
        "auf das dem den der des die ein eine einen für ich ist kann mit nicht sie sind und wann warum was "
        "welche welcher welches wie wir wo zu".split()
    ),
    "es": frozenset(
        "al con cuando cuál cuáles cuándo cómo del donde dónde el en es está la las los mi para por puedo que "
        "quién qué se son un una y".split()
    ),
    "it": frozenset(
        "che chi come con da del della di dove e gli il la le lo mio nel per perché posso quale quali quando "
        "sono un una è".split()
    ),
    "pt": frozenset(
        "as com como da das do dos e em meu não o onde os para por posso quais qual quando que quem são um "
        "uma é".split()
    ),
    "nl": frozenset(
        "de een en het hoe ik is je kan met mijn niet op van voor waar waarom wanneer wat welke wij zijn".split()
    ),
    "en": frozenset(
        "a an and are can do does for how i in is it my of that the to what when where which who why with you".split()
    ),
}
"""Words of each language that are common in questions."""

SYMMETRIC = frozenset("and or vs versus between with nor both either".split())
"""Connectors whose two sides may change places without changing the question."""

MUTUAL = frozenset(
    "compare compared comparison equal equals equivalent similar similarity same relate related relation relationship "
    "marry married distance far near multiply multiplied add added plus difference different convertible versus choose "
    "choosing".split()
)
"""Where one of these is said, ``A to B`` is as good as ``B to A``."""

DIRECTED = {
    word: group[0]
    for group in (
        line.split("/")
        for line in """
        to/into/onto/toward/towards from than by before after over against of on for without minus under above below if
        because via until since in/inside
        """.split()
    )
    for word in group
}
"""Prepositions whose argument has a part of its own in what is asked."""
