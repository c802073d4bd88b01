"""Word and fact tables for the everyday rows: plain data, no behaviour beyond splitting text."""


def words(text: str) -> tuple[str, ...]:
    """Split a comma-separated text into trimmed entries."""
    return tuple(" ".join(part.split()) for part in text.split(",") if part.strip())


def rows(text: str) -> tuple[tuple[str, ...], ...]:
    """Split `a: b: c; d: e: f` into rows of trimmed cells."""
    return tuple(tuple(" ".join(cell.split()) for cell in row.split(":")) for row in text.split(";") if row.strip())


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Split `key: x, y; key: z` into one (key, value) pair for each value."""
    return tuple((row[0], value) for row in rows(text) for value in words(row[1]))


# --- Small talk -----------------------------------------------------------------------------

NAMES = words("""Anna, Ben, Clara, Daniel, Emma, Felix, Grace, Henry, Ida, Jack, Kate, Leo,
    Maria, Nina, Oscar, Paul, Rosa, Sam, Tom, Vera, Will, Zoe, Alice, David, Ella, Frank,
    George, Helen, Ivan, Julia, Karl, Laura, Max, Nora, Peter, Ruth, Simon, Sarah, Lucy, Omar,
    Amir, Mei, Ravi, Sofia, Hugo, Ali, Lena, Mark, Eva, John, Mary, James, Linda, Adam, Carol,
    Diana, Eric, Fiona""")
RELATIVES = words("""mother, father, sister, brother, grandmother, grandfather, aunt, uncle,
    cousin, son, daughter, best friend, neighbour, wife, husband, niece, nephew, friend""")
GOOD_FEELINGS = words("""happy, glad, cheerful, excited, proud, calm, relaxed, hopeful,
    grateful, joyful, content, pleased, confident, strong, rested, delighted, lucky, fine""")
BAD_FEELINGS = words("""sad, tired, lonely, angry, worried, nervous, afraid, bored, upset, sick,
    stressed, unhappy, anxious, confused, disappointed, jealous, hurt, cold, sleepy, weak, lost,
    scared, frustrated, ashamed, homesick, hungry, thirsty""")
# A cause such as an exam explains a mood, but not a state such as "cold" or "hungry".
MOODS = words("""sad, tired, angry, worried, nervous, upset, stressed, unhappy, anxious,
    disappointed, frustrated""")
BAD_CAUSES = words("""because of my exam, because it is raining, because my friend is away,
    because I slept badly, because of my work, because I lost my keys, because my team lost,
    because my phone is broken, because I missed the bus, because I miss my family""")
GOOD_CAUSES = words("""because it is my birthday, because the sun is shining, because I passed
    my exam, because my friend is here, because I have a new job, because my team won, because
    it is Friday, because I am on holiday, because I finished my book, because we have a new
    puppy""")
COMFORT = words("""I hope you feel better soon., Do you want to talk about it?, Be kind to
    yourself today., A short walk may help., It will get better., Take some time to rest., Talk
    to a good friend about it., I am here to listen.""")
FOODS = words("""pizza, soup, bread, rice, pasta, cheese, salad, chicken, fish, cake, ice cream,
    chocolate, fruit, curry, porridge, honey, yoghurt, stew, beans, noodles, pancakes, apples,
    bananas, strawberries, potatoes, carrots, tomatoes, mushrooms, cookies, sandwiches, eggs,
    grapes, oranges, pears, cherries, peaches, dumplings, waffles, corn, peas""")
DRINKS = words("""tea, coffee, water, milk, orange juice, apple juice, lemonade, hot chocolate,
    green tea, iced tea, tomato juice, mint tea""")
HOBBIES = rows("""paint: painting; read: reading; swim: swimming; dance: dancing; cook: cooking;
    bake: baking; sing: singing; draw: drawing; run: running; hike: hiking; ski: skiing; garden:
    gardening; knit: knitting; write stories: writing stories; play chess: playing chess; play
    football: playing football; play tennis: playing tennis; fly a kite: flying a kite; play the
    piano: playing the piano; play the guitar: playing the guitar; ride a bike: riding a bike;
    take photos: taking photos; climb: climbing; watch birds: watching birds; collect stamps:
    collecting stamps; sew: sewing; learn languages: learning languages; solve puzzles: solving
    puzzles; skate: skating; play the drums: playing the drums; make pottery: making pottery;
    listen to music: listening to music; watch films: watching films; walk in the park: walking
    in the park; ride horses: riding horses; play cards: playing cards; grow roses: growing
    roses""")
JOBS = words("""teacher, nurse, doctor, farmer, baker, driver, cook, painter, writer, singer,
    builder, gardener, engineer, lawyer, waiter, dentist, plumber, carpenter, librarian,
    student, scientist, pilot, postman, tailor, actor, dancer, butcher, mechanic, cleaner,
    photographer, journalist, hairdresser, vet, shop assistant, police officer, firefighter,
    secretary""")
SUBJECTS = words("""maths, history, biology, music, art, physics, chemistry, geography, English,
    French, Spanish, German, sport, drama, computer science, Latin, economics""")
PETS = words("""dog, cat, rabbit, hamster, fish, turtle, pony, kitten, puppy, guinea pig, mouse,
    canary, lizard, hen, duck, goat""")
PET_NAMES = words("""Bella, Max, Luna, Charlie, Milo, Daisy, Rocky, Coco, Teddy, Ruby, Biscuit,
    Snowy, Pepper, Ginger, Oscar, Poppy, Shadow, Honey, Bruno, Lilly, Fluffy, Spot""")
CITIES = words("""London, Paris, Rome, Madrid, Berlin, Vienna, Prague, Athens, Oslo, Dublin,
    Lisbon, Tokyo, Cairo, Delhi, Boston, Chicago, Toronto, Sydney, Lima, Nairobi, Warsaw,
    Helsinki, Budapest, Zurich, Milan, Munich, Venice, Barcelona, Edinburgh, Istanbul, Seoul,
    Bangkok""")
PLACES = words("""the park, the beach, the cinema, the museum, the library, the market, the zoo,
    the mountains, the lake, the theatre, the gym, the city, the forest, the garden, the shop,
    the bakery, the swimming pool, the restaurant, the concert, the village, the farm, the
    castle, the
    river""")
TRIPS = words("""by train, by bus, by car, by plane, by bike, on foot, with my family, with a
    friend""")
TIMES = words("""tomorrow, tonight, next week, this weekend, on Monday, on Tuesday, on
    Wednesday, on Thursday, on Friday, on Saturday, on Sunday, next month, this evening, in the
    morning, this afternoon, next summer, after work, after lunch""")
PLANS = words("""visit my grandmother, clean the house, meet a friend, write a letter, buy a
    coat, go for a walk, bake a cake, read a book, wash the car, paint the wall, play tennis,
    cook a big dinner, plant a tree, learn Spanish, watch a film, go to a concert, sleep late,
    fix my bike, call my brother, move to a new flat, start a new job, study for my exam, buy a
    present, ride my bike, see the doctor, go shopping, sing in a choir, run five miles, make
    soup, visit a museum, have a picnic, help my neighbour, give a party, tidy my room""")
TOPICS = words("""music, football, books, films, cooking, travel, history, art, nature, school,
    maths, science, computers, gardens, dogs, cats, birds, trains, dancing, chess, poems,
    painting, mountains, winter, summer, spring, autumn, rain, snow, languages, museums,
    stories, games, tennis, photos, flowers, stars, horses, theatre, radio""")
THINGS = words("""bike, coat, phone, book, lamp, chair, table, bag, car, clock, guitar, piano,
    hat, dress, shirt, camera, computer, umbrella, sofa, bed, watch, kite, ball, desk, house,
    garden, kitchen, flat, office, scarf, jacket, mirror, radio, oven, notebook, pen, picture,
    carpet""")
SMALL_THINGS = words("""bike, coat, phone, book, lamp, bag, clock, guitar, hat, dress, shirt,
    camera, umbrella, watch, kite, ball, scarf, jacket, mirror, radio, notebook, pen, picture, cup,
    ring, toy, key, wallet, ticket, glove""")
LOOKS = words("""new, red, blue, green, small, big, old, lovely, yellow, black, white, warm,
    cheap, beautiful, modern, simple, nice, wonderful, bright, brown, strange, fine""")
WEATHER = rows("""sunny: It is a good day to go outside.; rainy: Take an umbrella with you.;
    cold: Put on a warm coat.; hot: Drink a lot of water.; windy: Hold on to your hat.; snowy:
    You can build a snowman.; cloudy: Maybe the sun will come out later.; foggy: Be careful on
    the road.; warm: A walk in the park would be nice.; icy: Walk slowly and carefully.; stormy:
    It is better to stay inside.; wet: Wear your boots.; dry: The garden may need some water.;
    mild: A light jacket is enough.; grey: A cup of tea would be nice.; freezing: Wear gloves
    and a scarf.; bright: Wear your sunglasses.""")
DAY_PARTS = words("""today, this morning, this afternoon, this evening, outside, here, in my
    city""")
ERRANDS = pairs("""close: window, door, book, box, drawer, gate, curtain, bag, bottle, cupboard;
    open: window, door, book, box, drawer, gate, letter, bottle, parcel, jar, umbrella;
    clean: kitchen, table, floor, window, bathroom, car, oven, desk, mirror, bedroom, carpet;
    wash: dishes, car, cups, plates, clothes, apples, windows, shirt, potatoes, glasses;
    bring: book, bag, water, chair, newspaper, coat, tea, cake, keys, paper, salt, milk;
    find: keys, book, pen, phone, address, ticket, answer, glasses, umbrella, recipe, page;
    read: letter, book, story, poem, message, list, sentence, report, recipe, first page;
    write: letter, list, story, poem, message, report, song, recipe, invitation, postcard;
    fix: bike, lamp, clock, door, chair, computer, radio, table, roof, printer, toy;
    paint: wall, door, fence, chair, picture, house, room, gate, bench, box;
    buy: bread, milk, tickets, flowers, cake, newspaper, eggs, apples, present, stamps;
    cook: soup, rice, dinner, beans, potatoes, eggs, pasta, fish, carrots, chicken;
    carry: bag, box, basket, chair, suitcase, table, books, shopping, parcel, bottles;
    move: chair, table, lamp, sofa, box, plant, bed, desk, picture, ladder;
    water: plants, flowers, garden, grass, roses, trees, tomatoes;
    feed: cat, dog, birds, fish, horse, rabbit, hens, ducks, hamster;
    check: time, weather, list, answer, address, spelling, numbers, door, date, oven;
    call: doctor, teacher, plumber, taxi, dentist, school, office, waiter;
    cut: bread, cake, grass, paper, apple, cheese, hedge, rope, tomatoes;
    fold: shirts, towels, letter, paper, blanket, clothes, napkins;
    count: coins, chairs, books, apples, cups, stars, pages, pencils, tickets;
    draw: house, tree, cat, flower, circle, horse, mountain, face, star, bridge;
    turn on: light, radio, lamp, oven, heating, computer, fan, music;
    turn off: light, radio, lamp, oven, heating, computer, fan, music, alarm""")
ADVICE = rows("""I have a headache: Drink some water and rest; I have a cold: Drink hot tea and
    stay warm; I cannot sleep: Put your phone away and read a quiet book; I am late for work:
    Call your boss; I lost my keys: Look in your bag and in your coat; I forgot my homework:
    Tell your teacher; I have a toothache: Go to the dentist soon; I broke a cup: Pick up the
    pieces carefully; I have a sore throat: Drink warm tea with honey; I burned my hand: Hold it
    under cold water; I cut my finger: Clean it and put on a plaster; I missed my train: Wait
    for the next train; I failed my exam: Study again and try once more; I have no money: Make a
    plan and save a little; I have a fever: Stay in bed and see a doctor; My phone is broken:
    Take it to a repair shop; My back hurts: Sit up straight and stretch a little; My feet hurt:
    Sit down and take a rest; My room is messy: Start with one small corner; My computer is
    slow: Turn it off and on again; My friend is angry with me: Say sorry and talk to your
    friend; My baby is crying: Hold the baby and sing a soft song; My plant is dry: Give it some
    water; My cat is sick: Take the cat to the vet; My dog ran away: Look in the park and ask
    people; My bike has a flat tyre: Repair the tyre or visit a bike shop; My soup is too salty:
    Add some water and a potato; My shoes are wet: Put paper in the shoes; My neighbour is too
    loud: Talk to your neighbour in a friendly way; My eyes hurt: Take a break from the screen;
    My stomach hurts: Drink mint tea and rest; My tea is too hot: Wait for a few minutes; My bus
    is late: Wait a little or walk; I feel stressed at work: Take a short break and breathe
    slowly; I am bored at home: Read a book or call a friend; I am always tired: Go to bed
    early; I have too much work: Make a list and start with one thing; I am afraid of the dark:
    Use a small night light; I am afraid of spiders: Stay calm; I am nervous about my test:
    Breathe slowly and read your notes; I am nervous about my interview: Practise your answers
    with a friend; I lost my phone: Call your number and listen; I spilled my coffee: Wipe it up
    with a cloth; I have a cough: Rest and drink something warm; I feel dizzy: Sit down and
    drink some water; I argued with my sister: Talk to her and listen to her; I forgot a
    birthday: Say sorry and call""")
WISHES = rows("""sleep better: go to bed at the same time every day; be healthy: eat fruit and
    walk a lot; learn English: read a little and speak every day; save money: write down what
    you buy; make new friends: join a club and smile at people; run faster: train a little every
    week; cook better: try one new recipe each week; read more: keep a book beside your bed;
    write better: write one page every day; be happy: do small things that you love; feel calm:
    breathe slowly and sit in a quiet place; wake up early: go to bed early; learn the piano:
    practise for ten minutes every day; be on time: leave home a bit earlier; remember new
    words: write them on small cards; pass my exam: study a little each day; grow tomatoes: give
    them sun and water; bake bread: mix flour with water and yeast; help my parents: wash the
    dishes and tidy your room; get strong: exercise and eat well; draw well: look closely and
    draw every day; keep my room clean: tidy up every evening; speak in public: practise in
    front of a mirror; find a job: write to many companies""")
PLAIN_SENTENCES = words("""The cat is black., I like warm bread., The sun is bright., We live
    here., My house is small., The birds sing., The tea is hot., She has a red hat., He reads a
    book., They play in the park., The night is quiet., Snow is white., The door is open., I can
    swim., The train is late., You are kind., The child laughs., It is a good day., The dog
    sleeps., The flowers are yellow., We eat at noon., The clock is old., Rain falls on the
    roof., The horse runs fast., My bag is heavy., The milk is cold., The road is long.""")

# --- Questions ------------------------------------------------------------------------------

# Only things with one usual colour, so that "Is it blue?" has one true answer.
COLOURS = rows("""a banana: yellow; a lemon: yellow; a tomato: red; a strawberry: red; grass:
    green; snow: white; milk: white; coal: black; a carrot: orange; the sky on a clear day:
    blue; an orange: orange; a cucumber: green; a polar bear: white; a crow: black; blood: red;
    a pumpkin: orange; a cloud on a sunny day: white; a chestnut: brown;
    spinach: green; a flamingo: pink; a pea: green; a leaf in spring: green; salt: white;
    a fire engine: red; the sun in a picture: yellow; an elephant: grey; broccoli: green; a
    sunflower: yellow; flour: white; a chick: yellow; a ripe cherry: red; a gorilla: black; a
    blueberry: blue; a mole: black; an aubergine: purple; lavender: purple; a raspberry: red;
    the night sky: black; a stop sign: red""")
COLOUR_NAMES = words("""yellow, red, green, white, black, orange, blue, brown, pink, grey,
    purple""")
OPPOSITES = rows("""hot: cold; big: small; tall: short; fast: slow; old: young; happy: sad; day:
    night; up: down; left: right; in: out; open: closed; full: empty; hard: soft; wet: dry;
    light: dark; good: bad; rich: poor; strong: weak; early: late; clean: dirty; high: low;
    near: far; loud: quiet; thick: thin; wide: narrow; long: short; deep: shallow; heavy: light;
    first: last; push: pull; win: lose; buy: sell; give: take; start: stop; begin: end; love:
    hate; yes: no; always: never; above: below; inside: outside; true: false; easy: difficult;
    cheap: expensive; sweet: sour; sharp: blunt; rough: smooth; brave: afraid; polite: rude;
    before: after; north: south; east: west; summer: winter; laugh: cry; remember: forget; find:
    lose; question: answer; friend: enemy; safe: dangerous; same: different; many: few; front:
    back; top: bottom; asleep: awake; tight: loose; ugly: beautiful; arrive: leave; morning:
    evening""")
PLURALS = rows("""cat: cats; dog: dogs; house: houses; box: boxes; child: children; mouse: mice;
    foot: feet; tooth: teeth; man: men; woman: women; goose: geese; baby: babies; city: cities;
    leaf: leaves; knife: knives; wolf: wolves; bus: buses; dish: dishes; glass: glasses; day:
    days; berry: berries; story: stories; potato: potatoes; tomato: tomatoes; person: people;
    wife: wives; half: halves; loaf: loaves; shelf: shelves; church: churches; brush: brushes;
    fox: foxes; watch: watches; key: keys; toy: toys; lady: ladies; cherry: cherries; hero:
    heroes; tree: trees; ox: oxen; book: books; apple: apples; class: classes; bench: benches;
    thief: thieves; egg: eggs; country: countries; party: parties; family: families; piano:
    pianos; radio: radios; hand: hands; bird: birds; school: schools; bridge: bridges; horse:
    horses; window: windows; peach: peaches; life: lives; puppy: puppies; penny: pennies; photo:
    photos; lamp: lamps; monkey: monkeys""")
PASTS = rows("""go: went; see: saw; eat: ate; drink: drank; run: ran; swim: swam; sing: sang;
    write: wrote; take: took; give: gave; come: came; make: made; find: found; buy: bought;
    think: thought; bring: brought; teach: taught; catch: caught; sleep: slept; keep: kept;
    feel: felt; leave: left; tell: told; sell: sold; know: knew; grow: grew; fly: flew; throw:
    threw; draw: drew; speak: spoke; break: broke; wake: woke; choose: chose; drive: drove;
    ride: rode; begin: began; sit: sat; stand: stood; understand: understood; win: won; lose:
    lost; send: sent; build: built; pay: paid; say: said; hear: heard; hold: held; meet: met;
    get: got; forget: forgot; fall: fell; wear: wore; walk: walked; talk: talked; play: played;
    jump: jumped; look: looked; help: helped; stop: stopped; try: tried; cry: cried; love:
    loved; live: lived; work: worked; open: opened; ask: asked; cook: cooked; dance: danced;
    laugh: laughed; call: called; study: studied; plan: planned""")
GRADES = rows("""big: bigger: biggest; small: smaller: smallest; tall: taller: tallest; hot:
    hotter: hottest; good: better: best; bad: worse: worst; happy: happier: happiest; fast:
    faster: fastest; slow: slower: slowest; old: older: oldest; young: younger: youngest; easy:
    easier: easiest; heavy: heavier: heaviest; funny: funnier: funniest; long: longer: longest;
    nice: nicer: nicest; short: shorter: shortest; warm: warmer: warmest; cold: colder: coldest;
    thin: thinner: thinnest; strong: stronger: strongest; wet: wetter: wettest; late: later:
    latest; safe: safer: safest""")
DAYS = words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
MONTHS = words("""January, February, March, April, May, June, July, August, September, October,
    November, December""")
MONTH_DAYS = words("31, 28 or 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31")
ORDINALS = words("""first, second, third, fourth, fifth, sixth, seventh, eighth, ninth, tenth,
    eleventh, twelfth""")
SOUNDS = rows("""dog: barks; cat: meows; cow: moos; sheep: bleats; horse: neighs; pig: oinks;
    duck: quacks; hen: clucks; lion: roars; wolf: howls; bee: buzzes; frog: croaks; owl: hoots;
    snake: hisses; mouse: squeaks; donkey: brays; goose: honks; bear: growls; bird: chirps;
    turkey: gobbles; elephant: trumpets; crow: caws; tiger: roars; fly: buzzes; pigeon: coos;
    goat: bleats""")
LEGS = rows("""dog: four legs; cat: four legs; cow: four legs; horse: four legs; bird: two legs;
    spider: eight legs; ant: six legs; bee: six legs; snake: no legs; fish: no legs; hen: two
    legs; sheep: four legs; lion: four legs; fly: six legs; beetle: six legs; duck: two legs;
    worm: no legs; elephant: four legs; butterfly: six legs; penguin: two legs; owl: two legs;
    mouse: four legs; tiger: four legs; giraffe: four legs; wolf: four legs; whale: no legs;
    goose: two legs; human: two legs; rabbit: four legs; scorpion: eight legs; crocodile: four
    legs; ostrich: two legs""")
YOUNG = rows("""dog: puppy; cat: kitten; cow: calf; horse: foal; sheep: lamb; hen: chick; duck:
    duckling; lion: cub; bear: cub; frog: tadpole; goose: gosling; goat: kid; pig: piglet; swan:
    cygnet; deer: fawn; kangaroo: joey; owl: owlet; butterfly: caterpillar; elephant: calf;
    wolf: pup; tiger: cub; whale: calf; fox: cub; eagle: eaglet""")
DIETS = rows("""cow: grass; rabbit: grass and leaves; lion: meat; panda: bamboo; horse: grass
    and hay; cat: meat and fish; squirrel: nuts and seeds; wolf: meat; bee: nectar and pollen;
    sheep: grass; giraffe: leaves; monkey: fruit and leaves; owl: mice and other small animals;
    tiger: meat; penguin: fish; frog: insects; spider: insects; hen: seeds and worms; koala:
    leaves; caterpillar: leaves; seal: fish; crocodile: meat; elephant: grass and leaves; goat:
    grass""")
HOMES = rows("""bird: in a nest; bee: in a hive; fish: in water; spider: on a web; horse: in a
    stable; fox: in a den; rabbit: in a burrow; camel: in the desert; polar bear: in the Arctic;
    monkey: in the forest; whale: in the ocean; frog: near a pond; mole: under the ground; lion:
    on the plains of Africa; kangaroo: in Australia; panda: in China; cow: on a farm; pig: on a
    farm; koala: in Australia; shark: in the ocean; squirrel: in the trees; hen: on a farm; ant:
    in an anthill; dolphin: in the ocean; bear: in the forest""")
CAPITALS = rows("""France: Paris: Europe; Germany: Berlin: Europe; Italy: Rome: Europe; Spain:
    Madrid: Europe; Portugal: Lisbon: Europe; Austria: Vienna: Europe; Poland: Warsaw: Europe;
    Greece: Athens: Europe; Norway: Oslo: Europe; Sweden: Stockholm: Europe; Finland: Helsinki:
    Europe; Denmark: Copenhagen: Europe; Ireland: Dublin: Europe; Belgium: Brussels: Europe;
    Hungary: Budapest: Europe; Romania: Bucharest: Europe; Bulgaria: Sofia: Europe; Croatia:
    Zagreb: Europe; Ukraine: Kyiv: Europe; Switzerland: Bern: Europe; Iceland: Reykjavik:
    Europe; England: London: Europe; Scotland: Edinburgh: Europe; Serbia: Belgrade: Europe;
    Slovakia: Bratislava: Europe; Japan: Tokyo: Asia; China: Beijing: Asia; India: New Delhi:
    Asia; Thailand: Bangkok: Asia; South Korea: Seoul: Asia; Vietnam: Hanoi: Asia; Iraq:
    Baghdad: Asia; Iran: Tehran: Asia; Nepal: Kathmandu: Asia; Pakistan: Islamabad: Asia;
    Mongolia: Ulaanbaatar: Asia; Egypt: Cairo: Africa; Kenya: Nairobi: Africa; Morocco: Rabat:
    Africa; Ghana: Accra: Africa; Nigeria: Abuja: Africa; Ethiopia: Addis Ababa: Africa;
    Senegal: Dakar: Africa; Tunisia: Tunis: Africa; Algeria: Algiers: Africa; Uganda: Kampala:
    Africa; Canada: Ottawa: North America; Mexico: Mexico City: North America; Cuba: Havana:
    North America; Brazil: Brasilia: South America; Argentina: Buenos Aires: South America;
    Peru: Lima: South America; Chile: Santiago: South America; Colombia: Bogota: South America;
    Uruguay: Montevideo: South America; Ecuador: Quito: South America""")
# Each ladder rises step by step, so any two entries can be compared by their place.
SIZE_LADDERS = (
    words("an ant, a bee, a mouse, a rabbit, a fox, a tiger, a horse, an elephant, a blue whale"),
    words("a pea, a cherry, an egg, a melon, a chair, a sofa, a car, a bus, a castle, a mountain"),
    words("a grain of sand, a coin, a cup, a bucket, a bath, a swimming pool, a lake, an ocean"),
    words("a room, a house, a street, a village, a city, a country, a continent, a planet"),
)
SPEED_LADDER = words("""a snail, a tortoise, a man on foot, a bicycle, a train, a plane, a
    rocket""")
# The groups do not overlap, so a member of one is never a member of another.
CATEGORIES = (
    (
        "fruit",
        words("""apple, banana, pear, orange, cherry, peach, plum, lemon, grape,
        strawberry, mango, melon, kiwi, apricot, raspberry, pineapple"""),
    ),
    (
        "vegetable",
        words("""carrot, potato, onion, cabbage, leek, turnip, radish, beetroot,
        cauliflower, parsnip, lettuce"""),
    ),
    (
        "animal",
        words("""dog, cat, horse, cow, sheep, lion, tiger, elephant, rabbit, wolf, bear,
        monkey, giraffe, camel, goat, kangaroo, zebra, deer, panda"""),
    ),
    ("tool", words("hammer, saw, screwdriver, spanner, drill, axe, rake, spade, chisel")),
    ("vehicle", words("car, bus, truck, taxi, tram, van, train, lorry, ambulance, motorbike")),
    (
        "piece of furniture",
        words("""table, chair, sofa, bed, desk, wardrobe, bookcase, stool,
        cupboard, armchair"""),
    ),
    (
        "piece of clothing",
        words("""shirt, coat, hat, dress, skirt, jacket, scarf, sock, jumper,
        glove, belt, sweater, blouse"""),
    ),
    (
        "musical instrument",
        words("""guitar, piano, violin, trumpet, flute, drum, harp, cello,
        clarinet, trombone, saxophone"""),
    ),
    ("flower", words("""rose, tulip, daisy, lily, daffodil, violet, poppy, sunflower, buttercup""")),
)
MASS_KINDS = (
    ("drinks", words("water, tea, coffee, milk, juice, lemonade, cocoa")),
    ("colours", COLOUR_NAMES),
    (
        "languages",
        words("""English, French, Spanish, German, Italian, Greek, Polish, Dutch,
        Arabic"""),
    ),
    ("sports", words("""football, tennis, swimming, basketball, skiing, hockey, volleyball, judo""")),
    ("metals", words("iron, silver, copper, tin, lead, zinc, nickel")),
    ("school subjects", words("maths, history, physics, chemistry, biology, geography")),
    ("days", DAYS),
    ("months", MONTHS),
    ("seasons", words("spring, summer, autumn, winter")),
    ("numbers", words("one, two, three, four, five, six, seven, eight, nine, ten, twenty")),
    ("insects", words("ants, bees, flies, beetles, wasps, butterflies, moths, mosquitoes")),
    ("birds", words("owls, eagles, ducks, swans, crows, penguins, geese, robins, pigeons")),
    ("trees", words("oaks, pines, birches, willows, maples, beeches, firs, elms")),
    ("shapes", words("circles, squares, triangles, rectangles, hexagons")),
)
USES = rows("""spoon: eating soup; knife: cutting food; pen: writing; cup: drinking tea; bed:
    sleeping; chair: sitting; key: opening a lock; clock: telling the time; lamp: giving light;
    broom: sweeping; towel: drying yourself; umbrella: keeping the rain off; needle: sewing;
    hammer: hitting nails; saw: cutting wood; oven: baking; fridge: keeping food cold; sponge:
    washing; brush: painting; telephone: talking to people far away; camera: taking photos; map:
    finding your way; bag: carrying things; book: reading; ruler: measuring; eraser: rubbing out
    pencil marks; toothbrush: cleaning your teeth; mirror: looking at yourself; pillow: resting
    your head; coat: keeping warm; candle: giving light; ladder: climbing up; comb: combing your
    hair; calculator: working with numbers; thermometer: measuring temperature; kettle: boiling
    water; stamp: sending a letter; wallet: keeping money; bridge: crossing a river; basket:
    carrying things; bell: ringing; spade: digging; whistle: making a loud sound; bucket:
    carrying water; dictionary: finding the meaning of words; pan: cooking; watch: telling the
    time; toaster: making toast; plate: holding food; glove: keeping a hand warm""")
WHERE = rows("""milk: in the fridge; books: in a library; bread: in a bakery; a bed: in the
    bedroom; an oven: in the kitchen; a bath: in the bathroom; fish: in the water; stars: in the
    sky; trees: in a forest; sand: on a beach; cows: on a farm; a teacher: in a school; clouds:
    in the sky; a doctor: in a hospital; trains: at a station; planes: at an airport; money: in
    a bank; paintings: in a museum; elephants: in a zoo; flowers: in a garden; medicine: in a
    pharmacy; letters: in a letterbox; camels: in the desert; penguins: in Antarctica; a sofa:
    in the living room; actors: in a theatre; stamps: at a post office; snow: on a high
    mountain; a pillow: on a bed; a waiter: in a restaurant; apples: on an apple tree; eggs: in
    a nest; films: in a cinema; shoes: on your feet; a hat: on a head; a roof: on top of a
    house; ducks: on a pond; honey: in a beehive; a driver: in a car; roses: in a garden; a
    ring: on a finger; words: in a dictionary; ice: in a freezer; a judge: in a court; a pilot:
    in a plane""")
WORKERS = rows("""teacher: teaches children; doctor: helps sick people; baker: bakes bread; vet:
    treats animals; farmer: grows food; pilot: flies a plane; firefighter: puts out fires;
    postman: delivers letters; cook: cooks meals; painter: paints pictures; writer: writes
    books; singer: sings songs; dentist: looks after teeth; builder: builds houses; gardener:
    looks after gardens; hairdresser: cuts hair; tailor: makes clothes; butcher: sells meat;
    waiter: serves food; plumber: repairs water pipes; mechanic: repairs cars; carpenter: makes
    things from wood; photographer: takes photos; judge: decides in court; librarian: looks
    after books; bus driver: drives a bus; florist: sells flowers; electrician: repairs electric
    wires; actor: plays a part in a film; dancer: dances on a stage; cleaner: cleans rooms;
    shoemaker: makes shoes; optician: sells glasses; beekeeper: keeps bees; poet: writes poems;
    astronaut: travels into space; referee: watches the rules of a game; drummer: plays the
    drums""")
MATERIALS = rows("""a window: glass; a book: paper; a wooden table: wood; a tyre: rubber; a
    brick: clay; a jumper: wool; a coin: metal; a leather shoe: leather; a candle: wax; a wine
    glass: glass; bread: flour; cheese: milk; butter: milk; a snowman: snow; a newspaper: paper;
    a nail: metal; a plastic bag: plastic; jam: fruit and sugar; a T-shirt: cotton; an omelette:
    eggs; a mirror: glass; a key: metal; a stone wall: stone; chocolate: cocoa; paper: wood; a
    pot: clay; glass: sand; wine: grapes; yoghurt: milk; toast: bread; a pancake: flour and
    eggs; a sandcastle: sand; a cloud: tiny drops of water; a woollen scarf: wool; ice: frozen
    water""")
SEASONS = rows("""snow falls: winter; the leaves turn brown: autumn; the flowers begin to bloom:
    spring; the days are hottest: summer; people go skiing: winter; birds build nests: spring;
    people build snowmen: winter; the leaves fall from the trees: autumn; lakes freeze: winter;
    people swim in the lake: summer; farmers pick apples: autumn; lambs are born: spring; the
    days are longest: summer; the nights are longest: winter; people wear gloves: winter;
    pumpkins are ripe: autumn; strawberries are ripe: summer; tulips bloom: spring""")
BODY = rows("""see: your eyes; hear: your ears; smell: your nose; taste: your tongue; walk: your
    legs; chew: your teeth; think: your brain; write: your hand; kick a ball: your foot; wave:
    your hand; breathe: your lungs; clap: your hands; point: your finger; smile: your mouth;
    speak: your mouth; hold a cup: your hand; touch things: your fingers; throw a ball: your
    arm; run: your legs; hug a friend: your arms; blink: your eyes; kiss: your lips; bite an
    apple: your teeth""")
COUNTS = rows("""fingers: one hand: five; toes: one foot: five; days: a week: seven; months: a
    year: twelve; hours: a day: twenty-four; minutes: an hour: sixty; seconds: a minute: sixty;
    seasons: a year: four; letters: the English alphabet: twenty-six; sides: a triangle: three;
    sides: a square: four; weeks: a year: fifty-two; years: a century: one hundred; cents: a
    dollar: one hundred; colours: a rainbow: seven; players: a football team: eleven; planets:
    our solar system: eight; years: a decade: ten; metres: a kilometre: one thousand; grams: a
    kilogram: one thousand; strings: a violin: four; corners: a square: four; days: a weekend:
    two; months: half a year: six; minutes: half an hour: thirty""")
RHYMES = tuple(
    tuple(group.split())
    for group in (
        "cat hat bat mat rat",
        "dog log fog frog",
        "house mouse",
        "tree bee knee key",
        "cake lake snake rake",
        "moon spoon noon",
        "king ring sing wing",
        "night light right",
        "car star jar",
        "sun run fun bun",
        "ball wall tall fall",
        "pen ten hen men",
        "coat goat note",
        "rain train plane",
        "book cook look",
        "day play way say",
        "bed red head bread",
        "fish dish wish",
        "bell shell well",
        "door floor four more",
        "chair bear pear hair",
        "sock rock clock lock",
        "snow grow slow",
        "nose rose",
        "nail tail snail",
        "rice mice ice",
    )
)
SPELLING = words("""apple, bread, chair, dance, earth, flower, green, house, juice, kitchen,
    lemon, mother, night, orange, paper, queen, river, school, table, uncle, voice, water,
    young, zebra, friend, garden, happy, idea, jacket, knife, light, music, number, onion,
    pencil, quiet, rabbit, spoon, train, under, village, window, yellow, bridge, cloud, doctor,
    eight, father, guitar, horse, insect, jump, king, letter, monkey, nurse, ocean, piano, rain,
    street, tree, winter, year, animal, brother, cheese, dinner, evening, family, grass, hand,
    ice, lamp, milk""")

# --- Reviews --------------------------------------------------------------------------------

FILMS = words("""film, movie, comedy, drama, thriller, love story, family film, crime film,
    horror film, documentary, cartoon, western, war film, musical, mystery, science fiction
    film, action movie, children's film, fantasy film, road movie""")
REVIEW_DEGREES = words("really, truly, simply, just, always")
# Subject, present verb, past verb, praise, blame.
ASPECTS = tuple(
    (subject, *verbs.split("/"), words(good), words(bad))
    for subject, verbs, good, bad in (
        (
            "acting",
            "is/was",
            "superb, strong, convincing, natural, excellent, first class",
            "wooden, weak, terrible, flat, lifeless, painful to watch",
        ),
        (
            "plot",
            "is/was",
            "clever, exciting, gripping, original, well built, full of surprises",
            "boring, silly, predictable, thin, confusing, full of holes",
        ),
        (
            "story",
            "is/was",
            "moving, touching, fresh, interesting, beautiful, easy to love",
            "dull, empty, tired, ridiculous, messy, hard to believe",
        ),
        (
            "music",
            "is/was",
            "lovely, beautiful, perfect, haunting, wonderful, a real joy",
            "annoying, too loud, awful, out of place, terrible, cheap",
        ),
        (
            "pace",
            "is/was",
            "perfect, lively, quick, just right, well judged, pleasant",
            "slow, painfully slow, uneven, deadly dull, all wrong, tiring",
        ),
        (
            "ending",
            "is/was",
            "satisfying, brilliant, surprising, touching, perfect, unforgettable",
            "disappointing, stupid, rushed, weak, absurd, a big letdown",
        ),
        (
            "camera work",
            "is/was",
            "stunning, beautiful, elegant, impressive, excellent, steady",
            "shaky, ugly, careless, poor, amateurish, dizzying",
        ),
        (
            "dialogue",
            "is/was",
            "sharp, witty, funny, smart, natural, believable",
            "clumsy, awful, stiff, lame, embarrassing, badly written",
        ),
        (
            "humour",
            "is/was",
            "warm, clever, delightful, charming, fresh, hilarious",
            "childish, stale, forced, lame, tasteless, painful",
        ),
        (
            "directing",
            "is/was",
            "brilliant, masterful, confident, careful, inspired, excellent",
            "lazy, clumsy, poor, careless, hopeless, dreadful",
        ),
        (
            "script",
            "is/was",
            "intelligent, excellent, witty, well written, tight, rich",
            "lazy, terrible, pointless, badly written, empty, a mess",
        ),
        (
            "cast",
            "is/was",
            "wonderful, excellent, perfect, charming, outstanding, talented",
            "dreadful, wasted, bored, unconvincing, poor, badly chosen",
        ),
        (
            "characters",
            "are/were",
            "likeable, interesting, believable, charming, lovable, rich",
            "boring, unlikeable, flat, annoying, shallow, impossible to like",
        ),
        (
            "effects",
            "are/were",
            "amazing, impressive, spectacular, beautiful, fantastic, clever",
            "cheap, fake, laughable, terrible, ugly, awful",
        ),
        (
            "jokes",
            "are/were",
            "funny, hilarious, clever, fresh, well timed, delightful",
            "unfunny, stale, stupid, lame, tired, embarrassing",
        ),
        (
            "costumes",
            "are/were",
            "gorgeous, lovely, beautiful, splendid, elegant, charming",
            "ugly, cheap, ridiculous, awful, silly, poor",
        ),
        (
            "lead actor",
            "is/was",
            "brilliant, charming, perfect, outstanding, superb, magnetic",
            "awful, miscast, dull, hopeless, stiff, annoying",
        ),
        (
            "lead actress",
            "is/was",
            "wonderful, brilliant, radiant, excellent, superb, lovely",
            "terrible, wooden, dull, unconvincing, miscast, bland",
        ),
        (
            "opening scene",
            "is/was",
            "gripping, funny, beautiful, exciting, memorable, powerful",
            "boring, slow, confusing, pointless, silly, weak",
        ),
        (
            "villain",
            "is/was",
            "chilling, clever, fascinating, memorable, superb, scary",
            "laughable, dull, silly, weak, boring, forgettable",
        ),
        (
            "editing",
            "is/was",
            "smooth, sharp, clever, excellent, tight, neat",
            "choppy, messy, careless, terrible, confusing, sloppy",
        ),
        (
            "second half",
            "is/was",
            "thrilling, wonderful, funny, powerful, exciting, rewarding",
            "tedious, boring, pointless, dreadful, endless, tiresome",
        ),
    )
)
# Plain words that a "not" turns round without sounding odd.
MILD_BAD = words("bad, boring, weak, poor, dull, awful, terrible, disappointing")
MILD_GOOD = words("good, interesting, special, great, convincing, strong, exciting")
NEUTRAL_OPENINGS = words("""I watched this {film} last night with my {who}., I saw this {film}
    on {day}., My {who} and I went to see this {film}., I rented this {film} for the weekend.,
    My {who} asked me to watch this {film}., We watched this {film} at home on {day}., I had
    never heard of this {film} before., This {film} was on television on {day}., I read the book
    before I saw this {film}., I found this {film} by accident., The {film} lasts about two
    hours., I went to the cinema on {day} with my {who}., I have now seen this {film} twice.,
    The {film} tells the story of {job!a} and {job2!a}., The {film} is about a young {job} in a
    small town., It is the story of {job!a} in {city}., The main character is {job!a} from
    {city}., {job!a} moves to {city} and meets {job2!a}.""")
VERDICTS = {
    "positive": rows("""This is one of the best {film!p} I have ever seen.; I loved every minute
        of it.; I would gladly watch this {film} again.; I highly recommend this {film}.; Do not
        miss it.; My {who} and I enjoyed it a lot.; This {film} is a real gem.; It made me laugh
        and cry.; I give it {high} out of 10.; It is {good!a} {film}.; What {good!a} {film}!; I
        cannot wait to see it again.; It is much better than the book.; It deserves every
        prize.; It kept me on the edge of my seat.; I was surprised how {good} it was.; Go and
        see it soon.; I smiled the whole time.; You will not regret seeing this {film}.; It is
        well worth your time.; I did not want it to end.; I have nothing bad to say about it.;
        It never gets boring.; My {who} loved it too.; It is {film!a} for the whole family, and
        {good!a} one.; I left the cinema with a big smile.; The two hours flew by.; The director
        did {good!a} job.; It is even better than I had hoped.; I was not disappointed at all.;
        It is {good!a} {film} that I will never forget.; Watch it with your {who},
         it is {good}."""),
    "negative": rows("""This is one of the worst {film!p} I have ever seen.; I hated every
        minute of it.; I would never watch this {film} again.; I cannot recommend this {film}.;
        Do not bother.; My {who} and I did not enjoy it.; This {film} is a waste of time.; It
        made me yawn.; I give it {low} out of 10.; It is {bad!a} {film}.; What {bad!a} {film}!;
        I could not wait for it to end.; The book is much better.; It deserves no prize at all.;
        I almost fell asleep.; I was surprised how {bad} it was.; Stay away from it.; I looked
        at my watch the whole time.; You will regret seeing this {film}.; It is not worth your
        time.; I wanted my money back.; I have nothing good to say about it.; It never gets
        exciting.; My {who} hated it too.; We left before the end.; The two hours felt like
        ten.; The director did {bad!a} job.; Save your money.; It is even worse than I had
        feared.; I was very disappointed.; It is {bad!a} {film} that I want to forget.; Do not
        watch it, it is {bad}."""),
}
PRAISE = words("""wonderful, great, brilliant, lovely, fantastic, superb, good, fine, beautiful,
    delightful, perfect, charming, remarkable, magnificent, terrific, very good, really great""")
BLAME = words("""terrible, bad, boring, awful, dreadful, horrible, poor, weak, stupid, dull,
    lame, pathetic, disappointing, miserable, very bad, really bad, pointless""")
TURNS = {
    "positive": ("But ", "Still, ", "However, ", "Even so, ", "All the same, ", "Luckily, "),
    "negative": ("But ", "Still, ", "However, ", "Even so, ", "All the same, ", "Sadly, "),
}
