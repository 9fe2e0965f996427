# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The mulmd authors
"""What can be told of an opener from its words, its question's and the reference reply's: grounded, safe, distinct."""

import re
from collections import Counter

OPENER_WORDS = 8
STOCK_WORDS = 3  # how many words make a phrase
STOCK_SHARE = 0.02  # of all openers that a phrase may begin
STEM = 5

STOP = set(
    "a about after all also am an and any are aren't as at be because been before being but by can can't could did do "
    "does doesn't doing don't down for from get give go going had has have he her here him his how i i'd i'll i'm i've if "
    "in into is isn't it it's its just kind know let let's like make may me might more most much my need no not now of off "
    "on one only or other our out over please really say she should so some such take tell than that that's the their "
    "them then there there's these they thing things this those time to too up us use used usually very want was way we "
    "well were what what's when where which while who whose why will with without won't work would you you'd your".split()
)
NUMBERS = set(
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half third quarter "
    "dozen twice double first second".split()
)
DATES = set(
    "january february march april june july august september october november december monday tuesday wednesday thursday "
    "friday saturday sunday today tomorrow yesterday tonight noon midnight".split()
)


def words(text):
    return text.split()


def opening(text, n=OPENER_WORDS):
    return " ".join(words(text)[:n])


def core(word):
    """A word without what clings to it, in lower case, possessives cut."""
    word = re.sub(r"^[^\w]+|[^\w]+$", "", word.lower().replace("’", "'"))
    return re.sub(r"'s$", "", word)


def stems(text):
    """Beginnings of the content words, long enough to tell and short enough to meet across inflections."""
    return {core(word)[:STEM] for word in words(text) if len(core(word)) > 2 and core(word) not in STOP}


def is_grounded(question, opener):
    return bool(stems(question) & stems(opener))


def is_commitment(word, is_first):
    """A number, a date, or a name: what only knowledge can say."""
    bare = core(word)
    if re.search(r"\d", bare) or bare in NUMBERS or bare in DATES:
        return True
    stripped = re.sub(r"^[^\w]+", "", word)
    return not is_first and stripped[:1].isupper() and bare not in STOP and not stripped.startswith("I'")


def unsafe_words(question, opener, reference):
    """Indexes of words that commit to what neither the question nor the beginning of the reference says."""
    known = {core(word) for word in words(question) + words(reference)[: OPENER_WORDS + 4]}
    ends = [i for i, word in enumerate(words(opener)) if word[-1] in ".?!"]
    return [i for i, word in enumerate(words(opener))
            if is_commitment(word, i == 0 or i - 1 in ends) and core(word) not in known and core(word)]


def stock_phrases(openers):
    """{phrase: share} of the beginnings that more openers have than they should."""
    counts = Counter(" ".join(core(word) for word in words(opener)[:STOCK_WORDS]) for opener in openers)
    return {phrase: n / len(openers) for phrase, n in counts.most_common() if n > STOCK_SHARE * len(openers) and n > 1}
