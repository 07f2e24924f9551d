"""The script that sets the power limits of a plan with nvidia-smi: checks first, tells before and after, undoes.

Text from the catalogue reaches the script only as quoted values of variables, on one line, never as code or comment.
Modify this module when nvidia-smi is asked otherwise.
"""

from __future__ import annotations

import re
import shlex

from solver.domain.plan import Plan
from solver.domain.problem import Problem

_MEMORY = re.compile(r"[0-9]+GB?\Z")
_NOT_IN_DRIVER_NAMES = frozenset(("BLOWER", "AXIAL", "PASSIVE", "TURBO", "WS"))
"""Words of catalogue names that tell boards or editions apart and that the driver does not say."""


def has_script(problem: Problem, plan: Plan) -> bool:
    """Whether nvidia-smi sets the limit of the plan's card."""
    return problem.catalog.card_by_id[plan.card_id].vendor.strip().lower() == "nvidia"


def power_script(problem: Problem, plan: Plan) -> str:
    """The script, for any POSIX shell."""
    card = problem.catalog.card_by_id[plan.card_id]
    values = {
        "CARD": shlex.quote(one_line(card.name)),
        "WORDS": shlex.quote(driver_words(card.name)),
        "CARDS": str(plan.card_count),
        "LIMIT_W": str(plan.power_limit_w),
        "MEMORY_MIB": str(card.vram_mib),
        "LEAST_MIB": str(min(card.vram_mib_ecc_on or card.vram_mib, card.vram_mib * 15 // 16) * 99 // 100),
        "MOST_MIB": str(card.vram_mib * 101 // 100),
    }
    return _HEAD + "".join(f"{name}={value}\n" for name, value in values.items()) + _BODY


def one_line(text: str) -> str:
    """Text without line breaks and other control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def driver_words(name: str) -> str:
    """The words of a card's name that the driver's name for it has too: 'RTX 4090' of 'RTX 4090 blower'."""
    said = one_line(re.sub(r"\(.*", "", name)) or one_line(name)
    words = ["".join(c.upper() if c.isascii() else c for c in word) for word in said.replace("-", " ").split()]
    kept = [word for word in words if word not in _NOT_IN_DRIVER_NAMES and not _MEMORY.match(word)]
    return " ".join(kept or words)


_HEAD = """\
#!/bin/sh
# Sets the power limit of every card of a plan with nvidia-smi. Written by solver-cli optimize --save.
#   sudo sh power-limits.sh           check the cards, set the limit, tell it before and after
#   sh power-limits.sh check          check only, change nothing
#   sudo sh power-limits.sh undo      set every card back to its default limit
# The driver forgets a limit when it is unloaded: run this again after each start of the machine.
# INDEXES="0 2" names the cards by index where there are more of them than the plan has.
# CARD_WORDS="RTX 4090" says by which words a card is known where the driver's name is another one.
set -euf

"""
_BODY = """\

fail() {
    printf 'power-limits: %s\\n' "$*" >&2
    exit 1
}

# number A op B, with decimals
holds() {
    awk -v a="$1" -v op="$2" -v b="$3" 'BEGIN {
        if (a !~ /^[0-9]+([.][0-9]+)?$/ || b !~ /^[0-9]+([.][0-9]+)?$/) exit 1
        if (op == "ge") exit !(a + 0 >= b + 0)
        if (op == "le") exit !(a + 0 <= b + 0)
        exit !(a + 0 == b + 0)
    }'
}

# whether a name of the driver has every word of WORDS
known() {
    given=" $(printf '%s' "$1" | tr '[:lower:]-' '[:upper:] ') "
    for word in $WORDS; do
        case $given in
            *" $word "*) ;;
            *) return 1 ;;
        esac
    done
    for word in D TI SUPER LAPTOP MOBILE; do
        case " $WORDS " in
            *" $word "*) continue ;;
        esac
        case $given in
            *" $word "*) return 1 ;; # another card: an RTX 4090 D is no RTX 4090
        esac
    done
}

# whether an index is among those that INDEXES names; any is where it names none
wanted() {
    [ -n "$INDEXES" ] || return 0
    case " $INDEXES " in
        *" $1 "*) return 0 ;;
        *) return 1 ;;
    esac
}

action=${1:-set}
case $action in
    set | check | undo) ;;
    *) fail "unknown action $action: set, check or undo" ;;
esac
INDEXES=${INDEXES:-}
[ -z "${CARD_WORDS:-}" ] || WORDS=$CARD_WORDS

command -v nvidia-smi >/dev/null 2>&1 || fail "nvidia-smi is not there: install NVIDIA's driver"
fields=index,name,memory.total,power.limit,power.default_limit,power.min_limit,power.max_limit
listed=$(nvidia-smi --query-gpu="$fields" --format=csv,noheader,nounits) || fail "nvidia-smi cannot list the cards"

# Everything is checked before anything is changed.
found=0
targets=
while IFS=, read -r index name memory limit default least most; do
    name=${name# } memory=${memory# } limit=${limit# } default=${default# } least=${least# } most=${most# }
    if ! known "$name" || ! wanted "$index"; then
        continue
    fi
    if ! holds "$memory" ge "$LEAST_MIB" || ! holds "$memory" le "$MOST_MIB"; then
        fail "card $index ($name) has $memory MiB, $CARD has $MEMORY_MIB"
    fi
    watts=$LIMIT_W
    [ "$action" != undo ] || watts=$default
    if ! holds "$watts" ge "$least" || ! holds "$watts" le "$most"; then
        fail "card $index ($name) takes $least to $most W, not $watts W"
    fi
    printf 'card %s (%s): %s W now, default %s W, %s to %s W possible\\n' \\
        "$index" "$name" "$limit" "$default" "$least" "$most"
    found=$((found + 1))
    targets="$targets $index:$watts"
done <<EOF
$listed
EOF
[ "$found" -gt 0 ] || fail "no card is known as $WORDS; set CARD_WORDS to words of the driver's name for $CARD"
[ "$found" -eq "$CARDS" ] || fail "$found such cards, the plan has $CARDS; name them: INDEXES=\\"0 1\\""
if [ "$action" = check ]; then
    printf 'all %s cards take %s W\\n' "$found" "$LIMIT_W"
    exit 0
fi

for target in $targets; do
    index=${target%%:*} watts=${target#*:}
    nvidia-smi -i "$index" -pl "$watts" >/dev/null || fail "card $index: cannot set $watts W (root is needed)"
    now=$(nvidia-smi -i "$index" --query-gpu=power.limit --format=csv,noheader,nounits)
    holds "$now" eq "$watts" || fail "card $index: asked for $watts W, the driver says $now W"
    printf 'card %s: %s W set\\n' "$index" "$now"
done
"""
