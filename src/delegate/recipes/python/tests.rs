use proptest::prelude::*;

use super::super::edits::testing::{apply_all, project};
use super::*;

/// Applies `recipe` wherever it can; the result must be `after`, and both must print the same in a real Python.
fn check(recipe: &PythonRecipe, before: &str, after: &str) {
    let (_folder, project) = project("python3 a.py", &[("a.py", before)]);
    assert_eq!(apply_all(recipe, &project, "a.py"), after);
    let (old, new) = (printed(before), printed(after));
    assert_eq!(old, new, "{after}");
}

fn leaves_alone(recipe: &PythonRecipe, text: &str) {
    let titles: Vec<String> = recipe.rewrites(text).into_iter().map(|rewrite| rewrite.title).collect();
    assert!(titles.is_empty(), "{titles:?} in\n{text}");
}

/// What Python prints; nothing where it is not installed.
#[expect(clippy::disallowed_methods, reason = "runs both forms in a real interpreter")]
fn printed(code: &str) -> Option<String> {
    let output = std::process::Command::new("python3").args(["-c", code]).output();
    let Ok(output) = output else {
        println!("skipped: python3 is not installed");
        return None;
    };
    assert!(output.status.success(), "{}\n{code}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn growing_lists_get_a_set_for_their_tests() {
    check(
        &LIST_MEMBERSHIP,
        "def f(xs):\n    seen = []  # all\n    for x in xs:\n        if x not in seen:\n            seen.append(x)\n    return seen\nprint(f([1, 2, 1]))\n",
        "def f(xs):\n    seen = []  # all\n    seen_set = set()\n    for x in xs:\n        if x not in seen_set:\n            seen.append(x)\n            seen_set.add(x)\n    return seen\nprint(f([1, 2, 1]))\n",
    );
    // Windows line breaks and tabs stay what they are.
    check(
        &LIST_MEMBERSHIP,
        "def f(xs):\r\n\ts = []\r\n\tfor x in xs:\r\n\t\tif x in s: continue\r\n\t\ts.append(x)\r\n\treturn len(s)\r\nprint(f('abca'))\r\n",
        "def f(xs):\r\n\ts = []\r\n\ts_set = set()\r\n\tfor x in xs:\r\n\t\tif x in s_set: continue\r\n\t\ts.append(x)\r\n\t\ts_set.add(x)\r\n\treturn len(s)\r\nprint(f('abca'))\r\n",
    );
}

#[test]
fn lists_that_others_see_or_change_keep_their_tests() {
    let body = |lines: &str| {
        format!(
            "def f(xs):\n    s = []\n    for x in xs:\n        if x not in s:\n            s.append(x)\n{lines}    return s\n"
        )
    };
    for lines in [
        "    s.remove(1)\n",
        "    g(s)\n",
        "    s[0] = 5\n",
        "    t = s\n",
        "    s += [1]\n",
        "    def h():\n        return s\n",
        "    del s[0]\n",
    ] {
        leaves_alone(&LIST_MEMBERSHIP, &body(lines));
    }
    leaves_alone(&LIST_MEMBERSHIP, "s = []\nfor x in y:\n    if x not in s:\n        s.append(x)\n");
    leaves_alone(
        &LIST_MEMBERSHIP,
        "def f(xs, s):\n    for x in xs:\n        if x not in s:\n            s.append(x)\n",
    );
    leaves_alone(&LIST_MEMBERSHIP, "def f(x):\n    s = []\n    if x not in s:\n        s.append(x)\n");
    leaves_alone(
        &LIST_MEMBERSHIP,
        "def f(xs):\n    s = []\n    for x in xs:\n        if x not in s:\n            s.append(g(x))\n",
    );
    leaves_alone(
        &LIST_MEMBERSHIP,
        "def f(xs):\n    s = []\n    for x in xs:\n        if x not in s: s.append(x)\n    return s\n",
    );
    leaves_alone(&LIST_MEMBERSHIP, "def f(:\n");
}

#[test]
fn queues_become_deques() {
    check(
        &LIST_POP_FRONT,
        "\"\"\"Doc.\"\"\"\nimport os\n\ndef f(n):\n    q = list(range(n))\n    total = 0\n    while q:\n        x = q.pop(0)\n        if x % 5 == 4 and len(q) < 9:\n            q.append(x // 2)\n        total += x\n    return total\nprint(f(20))\n",
        "\"\"\"Doc.\"\"\"\nfrom collections import deque\nimport os\n\ndef f(n):\n    q = deque(list(range(n)))\n    total = 0\n    while q:\n        x = q.popleft()\n        if x % 5 == 4 and len(q) < 9:\n            q.append(x // 2)\n        total += x\n    return total\nprint(f(20))\n",
    );
    check(
        &LIST_POP_FRONT,
        "from __future__ import annotations\nfrom collections import deque, Counter\ndef f(xs):\n    q = []\n    for x in xs: q.append(x)\n    out = []\n    while len(q) > 0:\n        out.append(q.pop(0))\n    return out\nprint(f('abc'), deque, Counter)\n",
        "from __future__ import annotations\nfrom collections import deque, Counter\ndef f(xs):\n    q = deque()\n    for x in xs: q.append(x)\n    out = []\n    while len(q) > 0:\n        out.append(q.popleft())\n    return out\nprint(f('abc'), deque, Counter)\n",
    );
}

#[test]
fn queues_that_are_more_than_queues_stay_lists() {
    let body = |lines: &str| {
        format!(
            "def f(xs):\n    q = []\n    for x in xs: q.append(x)\n    while q:\n        g(q.pop(0))\n{lines}"
        )
    };
    for lines in [
        "    return q\n",
        "    return q[1:]\n",
        "    q.sort()\n",
        "    h(q)\n",
        "    q.insert(0, 1)\n",
        "    print(q)\n",
        "    q = q + [1]\n",
    ] {
        leaves_alone(&LIST_POP_FRONT, &body(lines));
    }
    leaves_alone(&LIST_POP_FRONT, "def f(q):\n    while q:\n        g(q.pop(0))\n");
    leaves_alone(&LIST_POP_FRONT, "def f():\n    q = [1]\n    return q.pop(0)\n");
}

#[test]
fn sums_of_lists_are_chained() {
    check(
        &SUM_LISTS,
        "xs = [[1], [2, 3]]\nprint(sum(xs, []), sum([x for x in xs], start=[]))\n",
        "import itertools\nxs = [[1], [2, 3]]\nprint(list(itertools.chain.from_iterable(xs)), list(itertools.chain.from_iterable([x for x in xs])))\n",
    );
    leaves_alone(&SUM_LISTS, "print(sum([1, 2]), sum([1], 0), sum([(1,)], ()))\n");
    leaves_alone(&SUM_LISTS, "def sum(a, b): return 1\nprint(sum([[1]], []))\n");
}

#[test]
fn constant_patterns_are_compiled_once() {
    check(
        &REGEX_IN_LOOP,
        "import re\n\nfor line in ['a1', 'b']:\n    if re.search(r'\\d', line):\n        print(line)\n",
        "import re\n\n_PATTERN = re.compile(r'\\d')\n\nfor line in ['a1', 'b']:\n    if _PATTERN.search(line):\n        print(line)\n",
    );
    check(
        &REGEX_IN_LOOP,
        "import re\ndef f(lines):\n    return [re.compile('x', re.I | re.M).sub('y', line) for line in lines]\nprint(f(['aXb']))\n",
        "import re\n\n_PATTERN = re.compile('x', re.I | re.M)\ndef f(lines):\n    return [_PATTERN.sub('y', line) for line in lines]\nprint(f(['aXb']))\n",
    );
    leaves_alone(&REGEX_IN_LOOP, "import re\nprint(re.search('a', 'b'))\n");
    leaves_alone(&REGEX_IN_LOOP, "import re\nfor p in ps:\n    re.search(p, 'b')\n");
    leaves_alone(&REGEX_IN_LOOP, "import re\nfor p in ps:\n    re.search(f'{p}x', 'b')\n");
    leaves_alone(&REGEX_IN_LOOP, "import regex as re\nfor p in ps:\n    re.search('x', p)\n");
    leaves_alone(&REGEX_IN_LOOP, "import re\nfor m in re.findall('x', text):\n    print(m)\n");
}

#[test]
fn keys_hold_while_other_lines_move() {
    let text = "import re\nfor x in y:\n    re.search('a', x)\n";
    let key = |text: &str| what("a.py", &REGEX_IN_LOOP.rewrites(text)[0]);
    assert_eq!(key(text), key(&format!("# new\n\n{text}")));
}

proptest! {
    #[test]
    fn no_file_makes_a_recipe_panic(text in "(def f\\(a\\):\n|    q = \\[\\]\n|    for x in a:\n|        q.pop\\(0\\)\n|        if x in q: q.append\\(x\\)\n|sum\\(a, \\[\\]\\)\n|\\PC{0,8}){0,8}") {
        for recipe in [&LIST_MEMBERSHIP, &LIST_POP_FRONT, &SUM_LISTS, &REGEX_IN_LOOP] {
            for rewrite in recipe.rewrites(&text) {
                prop_assert!(edited(&text, &rewrite.edits) != text);
            }
        }
    }
}
