"""Open-class words: nouns, verbs, adjectives and adverbs, one line a word.

Many English forms are in two classes on purpose (walk, watch, open, saw, left,
light, can, well, like): their tag follows from context alone.
"""

from __future__ import annotations

from .words import Adjective, Noun, Verb, Word, english_verb, german_verb, rows

# English singular, plural | gender, nominative, genitive, plural | kind, semantic tag
_NOUNS = """
man men | Masc Mann Mannes Männer | person CON
woman women | Fem Frau Frau Frauen | person CON
child children | Neut Kind Kindes Kinder | person CON
boy boys | Masc Junge Jungen Jungen | person CON
girl girls | Neut Mädchen Mädchens Mädchen | person CON
teacher teachers | Masc Lehrer Lehrers Lehrer | person ROL
mother mothers | Fem Mutter Mutter Mütter | person ROL
father fathers | Masc Vater Vaters Väter | person ROL
sister sisters | Fem Schwester Schwester Schwestern | person ROL
friend friends | Masc Freund Freundes Freunde | person ROL
doctor doctors | Masc Arzt Arztes Ärzte | person ROL
student students | Masc Student Studenten Studenten | person ROL
neighbour neighbours | Masc Nachbar Nachbarn Nachbarn | person ROL
cook cooks | Masc Koch Kochs Köche | person ROL
guard guards | Masc Wächter Wächters Wächter | person ROL
nurse nurses | Fem Krankenschwester Krankenschwester Krankenschwestern | person ROL
judge judges | Masc Richter Richters Richter | person ROL
guide guides | Masc Reiseleiter Reiseleiters Reiseleiter | person ROL
dog dogs | Masc Hund Hundes Hunde | animal CON
cat cats | Fem Katze Katze Katzen | animal CON
horse horses | Neut Pferd Pferdes Pferde | animal CON
bird birds | Masc Vogel Vogels Vögel | animal CON
bear bears | Masc Bär Bären Bären | animal CON
sheep sheep | Neut Schaf Schafes Schafe | animal CON
cow cows | Fem Kuh Kuh Kühe | animal CON
book books | Neut Buch Buches Bücher | text CON
letter letters | Masc Brief Briefes Briefe | text CON
newspaper newspapers | Fem Zeitung Zeitung Zeitungen | text CON
question questions | Fem Frage Frage Fragen | question CON
answer answers | Fem Antwort Antwort Antworten | abstract CON
call calls | Masc Anruf Anrufs Anrufe | question CON
watch watches | Fem Uhr Uhr Uhren | thing CON
light lights | Neut Licht Lichtes Lichter | thing CON
saw saws | Fem Säge Säge Sägen | thing CON
can cans | Fem Dose Dose Dosen | thing CON
picture pictures | Neut Bild Bildes Bilder | thing CON
gift gifts | Neut Geschenk Geschenks Geschenke | thing CON
table tables | Masc Tisch Tisches Tische | surface CON
chair chairs | Masc Stuhl Stuhls Stühle | surface CON
door doors | Fem Tür Tür Türen | opening CON
window windows | Neut Fenster Fensters Fenster | opening CON
car cars | Neut Auto Autos Autos | vehicle CON
train trains | Masc Zug Zuges Züge | vehicle CON
plant plants | Fem Pflanze Pflanze Pflanzen | plant CON
flower flowers | Fem Blume Blume Blumen | plant CON
tree trees | Masc Baum Baumes Bäume | plant CON
bread - | Neut Brot Brotes - | food CON
apple apples | Masc Apfel Apfels Äpfel | food CON
cake cakes | Masc Kuchen Kuchens Kuchen | food CON
fish fish | Masc Fisch Fisches Fische | food CON
soup soups | Fem Suppe Suppe Suppen | food CON
water - | Neut Wasser Wassers - | drink CON
milk - | Fem Milch Milch - | drink CON
tea - | Masc Tee Tees - | drink CON
drink drinks | Neut Getränk Getränks Getränke | drink CON
garden gardens | Masc Garten Gartens Gärten | place CON
park parks | Masc Park Parks Parks | place CON
village villages | Neut Dorf Dorfes Dörfer | place CON
house houses | Neut Haus Hauses Häuser | place CON
school schools | Fem Schule Schule Schulen | place CON
kitchen kitchens | Fem Küche Küche Küchen | place CON
hotel hotels | Neut Hotel Hotels Hotels | place CON
well wells | Masc Brunnen Brunnens Brunnen | landmark CON
river rivers | Masc Fluss Flusses Flüsse | landmark CON
walk walks | Masc Spaziergang Spaziergangs Spaziergänge | event CON
dance dances | Masc Tanz Tanzes Tänze | event CON
visit visits | Masc Besuch Besuchs Besuche | event CON
party parties | Fem Feier Feier Feiern | event CON
film films | Masc Film Films Filme | show CON
play plays | Neut Theaterstück Theaterstücks Theaterstücke | show CON
love - | Fem Liebe Liebe - | need CON
help - | Fem Hilfe Hilfe - | need CON
work - | Fem Arbeit Arbeit - | task CON
hope hopes | Fem Hoffnung Hoffnung Hoffnungen | abstract CON
dream dreams | Masc Traum Traums Träume | abstract CON
plan plans | Masc Plan Plans Pläne | abstract CON
promise promises | Neut Versprechen Versprechens Versprechen | abstract CON
"""

_VERGESSEN = "vergessen vergisst/vergisst vergaß vergessen haben"
_VERSPRECHEN = "versprechen versprichst/verspricht versprach versprochen haben"

# English base, past, participle | German infinitive, present, preterite, participle,
# auxiliary | frame, subject kinds, object kinds, flags: dat (object), stative, motion
_VERBS = f"""
walk - - | laufen läufst/läuft lief gelaufen sein | intr person,animal - motion
run ran run | rennen - rannte gerannt sein | intr person,animal - motion
come came come | kommen - kam gekommen sein | intr person - motion
sleep slept - | schlafen schläfst/schläft schlief geschlafen haben | intr person,animal - -
work - - | arbeiten - - gearbeitet haben | intr person - -
dance - - | tanzen - - getanzt haben | intr person - -
dream - - | träumen - - geträumt haben | intr person,animal - -
play - - | spielen - - gespielt haben | intr person,animal - -
wait - - | warten - - gewartet haben | intr person,animal - -
live - - | leben - - gelebt haben | intr person,animal - -
cook - - | kochen - - gekocht haben | intr person - -
fish - - | angeln angle/angelst/angelt angelte geangelt haben | intr person - -
rain - - | regnen - - geregnet haben | weather - - -
see saw seen | sehen siehst/sieht sah gesehen haben | trans being being,item,place stative
love - - | lieben - - geliebt haben | trans person person,animal,text,show,place stative
like - - | mögen mag/magst/mag mochte gemocht haben | trans being being,food,text,show,drink stative
need - - | brauchen - - gebraucht haben | trans person need,item,person,drink stative
have had - | haben habe/hast/hat hatte gehabt haben | trans person animal,item,abstract stative
do did done | machen - - gemacht haben | trans person task -
watch - - | beobachten - - beobachtet haben | trans being being -
visit - - | besuchen - - besucht haben | trans person person,place -
buy bought - | kaufen - - gekauft haben | trans person thing,text,vehicle,food,drink,surface,plant -
read read - | lesen liest/liest las gelesen haben | trans person text -
write wrote written | schreiben - schrieb geschrieben haben | trans person text -
eat ate eaten | essen isst/isst aß gegessen haben | trans person,animal food -
drink drank drunk | trinken - trank getrunken haben | trans person,animal drink -
open - - | öffnen - - geöffnet haben | trans person opening,thing -
clean - - | putzen - - geputzt haben | trans person opening,surface,thing,vehicle -
dry - - | trocknen - - getrocknet haben | trans person surface,thing -
warm - - | wärmen - - gewärmt haben | trans person food,person -
answer - - | beantworten - - beantwortet haben | trans person question,text -
question - - | befragen - - befragt haben | trans person person -
plant - - | pflanzen - - gepflanzt haben | trans person plant -
water - - | gießen - goss gegossen haben | trans person plant -
cook - - | kochen - - gekocht haben | trans person food -
help - - | helfen hilfst/hilft half geholfen haben | trans person person,animal dat
guard - - | bewachen - - bewacht haben | trans person,animal place,opening,person -
guide - - | führen - - geführt haben | trans person person -
free - - | befreien - - befreit haben | trans person person,animal -
judge - - | beurteilen - - beurteilt haben | trans person text,show,abstract -
nurse - - | pflegen - - gepflegt haben | trans person person,animal -
train - - | trainieren - - trainiert haben | trans person animal,person -
book - - | buchen - - gebucht haben | trans person place,event -
film - - | filmen - - gefilmt haben | trans person person,animal,event -
plan - - | planen - - geplant haben | trans person event -
call - - | an+rufen - rief angerufen haben | trans person person -
leave left - | verlassen verlässt/verlässt verließ verlassen haben | trans person,animal place -
find found - | finden - fand gefunden haben | trans being thing,text,being,landmark -
forget forgot forgotten | {_VERGESSEN} | trans person abstract,item stative
give gave given | geben gibst/gibt gab gegeben haben | ditrans person item,animal,drink -
show showed shown | zeigen - - gezeigt haben | ditrans person thing,text,plant,vehicle,place -
bring brought - | bringen - brachte gebracht haben | ditrans person thing,text,food,drink -
promise - - | {_VERSPRECHEN} | ditrans person thing,need,event stative
know knew known | wissen weiß/weißt/weiß wusste gewusst haben | clause person - stative
think thought - | denken - dachte gedacht haben | clause person - stative
say said - | sagen - - gesagt haben | clause person - -
see saw seen | sehen siehst/sieht sah gesehen haben | clause person - stative
hope - - | hoffen - - gehofft haben | clause person - stative
dream - - | träumen - - geträumt haben | clause person - stative
ask - - | fragen - - gefragt haben | ask person - -
know knew known | wissen weiß/weißt/weiß wusste gewusst haben | ask person - stative
try - - | versuchen - - versucht haben | to person - -
hope - - | hoffen - - gehofft haben | to person - stative
plan - - | planen - - geplant haben | to person - stative
promise - - | {_VERSPRECHEN} | to person - stative
forget forgot forgotten | {_VERGESSEN} | to person - stative
"""

# English | German predicate form, stem if another | kinds | semantic tag, flags
_ADJECTIVES = """
old | alt alt | person,animal,thing,text,place,surface,vehicle,show,plant,landmark | DEG -
young | jung jung | person,animal | DEG -
good | gut gut | person,animal,text,show,food,drink,place,abstract,question,event,task,thing | IST -
big | groß groß | animal,thing,food,place,surface,opening,plant,vehicle | DEG -
small | klein klein | animal,thing,food,place,surface,opening,plant,vehicle | DEG -
new | neu neu | thing,text,place,surface,vehicle,show,abstract,task,opening | IST -
red | rot rot | thing,surface,opening,vehicle,plant | IST -
green | grün grün | thing,surface,opening,vehicle,plant | IST -
black | schwarz schwarz | animal,thing,surface,vehicle | IST -
tired | müde müd | person,animal | IST -
happy | glücklich glücklich | person | IST -
sad | traurig traurig | person,show,text | IST -
sick | krank krank | person,animal,plant | IST -
kind | freundlich freundlich | person | IST -
free | frei frei | person,animal | IST -
open | offen offen | opening,thing | IST -
clean | sauber sauber | thing,place,surface,opening,vehicle | IST -
dry | trocken trocken | food,surface,plant,landmark | IST -
warm | warm warm | food,drink,place,month | DEG -
cold | kalt kalt | food,drink,place,month,landmark | DEG -
fast | schnell schnell | animal,vehicle | DEG -
hard | hart hart | food,surface,task | DEG -
late | spät spät | event | DEG -
early | früh früh | event | DEG -
long | lang lang | event,show,text,question | DEG -
light | leicht leicht | thing,task | DEG -
left | linke link | opening | IST attributive
beautiful | schön schön | person,animal,place,plant,event,thing,month,landmark | IST -
important | wichtig wichtig | text,abstract,question,event,task,need | DEG -
dark | dunkel dunkl | place,month | DEG -
"""

# English, German, part of speech, semantic tag
_MANNER = """
quickly schnell ADV IST
fast schnell ADV IST
slowly langsam ADV IST
well gut ADV IST
hard hart ADV IST
quietly leise ADV IST
"""

_FREQUENCY = """
often oft ADV QUV
sometimes manchmal ADV QUV
always immer ADV AND
"""

_PLACE = """
here hier ADV DXP
there dort ADV DXP
"""


# Names of several kinds of noun.
_GROUPS = {"being": ("person", "animal"), "item": ("thing", "text", "vehicle", "surface")}


def _list(column: str) -> tuple[str, ...]:
    if column == "-":
        return ()
    return tuple(kind for name in column.split(",") for kind in _GROUPS.get(name, (name,)))


def _verb(row: list[str]) -> Verb:
    english, german = english_verb(*row[:3]), german_verb(*row[3:8])
    return Verb(english, german, row[8], _list(row[9]), _list(row[10]), _list(row[11]))


def _adjective(row: list[str]) -> Adjective:
    return Adjective(row[0], row[1], row[2], _list(row[3]), row[4], row[5] == "attributive")


def _words(table: str) -> tuple[Word, ...]:
    return tuple(Word(*row) for row in rows(table))


NOUNS: tuple[Noun, ...] = tuple(Noun(*row) for row in rows(_NOUNS))
VERBS: tuple[Verb, ...] = tuple(_verb(row) for row in rows(_VERBS))
ADJECTIVES: tuple[Adjective, ...] = tuple(_adjective(row) for row in rows(_ADJECTIVES))
MANNER: tuple[Word, ...] = _words(_MANNER)
FREQUENCY: tuple[Word, ...] = _words(_FREQUENCY)
PLACE_ADVERBS: tuple[Word, ...] = _words(_PLACE)

# The copula; its English forms are irregular and live in the English realiser.
BE = Verb(
    english_verb("be", "was", "been"),
    german_verb("sein", "bin/bist/ist", "war", "gewesen", "sein"),
    "copula",
    (),
    (),
    ("stative",),
)

# "there is" against "es gibt": the English subject is German's object.
EXIST = Verb(
    BE.english,
    german_verb("geben", "gibst/gibt", "gab", "gegeben", "haben"),
    "exist",
    (),
    (),
    ("stative",),
)
