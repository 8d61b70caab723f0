#!/usr/bin/env python3
"""Feeds scripts/check with small projects, good and bad, and asserts what it finds in them.

Ends with one line, `N passed, N failed`, like every suite of scripts/test.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHECK = ROOT / "scripts" / "check"


class Case(unittest.TestCase):
    def check(self, files):
        """Runs scripts/check over a project of these files; gives (exit code, output)."""
        with tempfile.TemporaryDirectory() as folder:
            for path, text in {".clang-format": "DisableFormat: true\n", **files}.items():
                file = pathlib.Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            command = [sys.executable, CHECK, "--root", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(done.stderr, "")
            return done.returncode, done.stdout

    def good(self, files):
        code, output = self.check(files)
        self.assertEqual((code, output), (0, "check: 0 problems, 0 warnings\n"))

    def bad(self, files, *expected, problems=1):
        """Expects this many problems (None: any number) and these texts in the output."""
        code, output = self.check(files)
        self.assertEqual(code, 1, output)
        if problems is not None:
            self.assertIn(f"check: {problems} problems, 0 warnings\n", output)
        for text in expected:
            self.assertIn(text, output)

    def warned(self, files, expected):
        code, output = self.check(files)
        self.assertEqual(code, 0, output)
        self.assertIn("check: 0 problems, 1 warnings\n", output)
        self.assertIn(expected, output)


def coroutine(*lines):
    """A file with one coroutine that has these lines."""
    body = "".join(f"    {line}\n" for line in lines)
    return {"common/x.cpp": f"asio::awaitable<int> f(int a) {{\n{body}}}\n"}


class Await(Case):
    def test_good(self):
        self.good(coroutine("const Frame frame{a, 1};", "co_await send(frame);"))
        self.good(coroutine("auto [order, error] = co_await group.async_wait(token);"))
        self.good(coroutine("const auto& [order, error] = co_await wait();"))
        self.good(coroutine("co_await send(frames[a]);"))
        self.good(coroutine("if (co_await ready()) co_return Frame{};"))
        self.good(coroutine("if (auto x = co_await f(a); x > 0) {", "    g(Frame{x});", "}"))
        self.good(coroutine("while (a < 3) {", "    co_await f();", "}"))
        self.good(coroutine("for (const auto& x : co_await f()) {", "    a += x;", "}"))
        self.good(coroutine("try {", "    co_await f();", "} catch (const E& e) {", "}"))
        self.good(coroutine("do {", "    co_await f();", "} while (co_await g());"))
        self.good(
            coroutine("switch (a) {", "    case 1:", "        co_await f();", "    default:", "}")
        )

    def test_statements_of_a_lambda_are_its_own(self):
        body = ["auto g = [a]() -> asio::awaitable<void> {", "    co_await f(a);", "};"]
        self.good(coroutine(*body))
        self.bad(coroutine(body[0], "    co_await f(E{a});", body[2]), "x.cpp:3: co_await")

    def test_comments_strings_and_macros_do_not_count(self):
        self.good(coroutine("co_await f();  // not {a} and ?", 'co_await log("{?[]");'))
        self.good(coroutine("/* co_await f(E{", "?*/"))
        self.good(coroutine("co_await f('{');", "co_await f(1'000);", 'co_await f(R"x(}{")x");'))
        self.good({"common/x.cpp": "#define AWAIT \\\n    co_await f(E{1})\n"})

    def test_values_in_braces(self):
        self.bad(coroutine("co_await send(Frame{a});"), "x.cpp:2: co_await", "braces")
        self.bad(coroutine("co_await send({a, 1});"), "braces")
        self.bad(coroutine("Frame frame{co_await f()};"), "braces")
        self.bad(coroutine("std::vector<int> v = {co_await f()};"), "braces")
        self.bad(coroutine("if (co_await send(Frame{a})) co_return 1;"), "braces")
        self.bad(coroutine("co_return co_await send(Frame{a});"), "braces")

    def test_over_several_lines(self):
        self.bad(coroutine("co_await send(a,", "", "  Frame{1});"), "x.cpp:2: co_await", "braces")
        self.bad(coroutine("x = a", "  ? 1", "  : co_await f();"), "x.cpp:4: co_await", "?:")

    def test_conditional(self):
        self.bad(coroutine("auto x = a ? co_await f() : 0;"), "x.cpp:2: co_await", "?:")
        self.bad(coroutine("co_await f(a ? 1 : 2);"), "?:")

    def test_lambda(self):
        self.bad(coroutine("co_await post([a] { return a; });"), "x.cpp:2: co_await", "a lambda")
        self.bad(coroutine("co_await post([&]() mutable -> int { return 1; });"), "a lambda")

    def test_in_a_member_and_after_an_initialiser_list(self):
        start = "struct S {\n    explicit S(int a) : a_{a}, b_(a) { f(); }\n"
        body = "    asio::awaitable<void> g() const { co_await f(%s); }\n    int a_ = 0;\n};\n"
        self.good({"common/x.hpp": start + body % "a_"})
        self.bad({"common/x.hpp": start + body % "E{}"}, "x.hpp:3: co_await")
        body = body.replace("const", "const &&")
        self.good({"common/x.hpp": start + body % "a_"})


class Forbidden(Case):
    def test_names(self):
        self.bad(coroutine("asio::co_spawn(io, f(), asio::detached);"), "x.cpp:2: detached")
        self.bad(coroutine("co_spawn(io, f(), detached);"), "x.cpp:2: detached")
        self.bad(coroutine("asio::experimental::channel<void()> c(io);"), "x.cpp:2: channel")
        self.bad(coroutine("using namespace asio::awaitable_operators;"), "awaitable_operators")
        self.bad(coroutine("auto self = shared_from_this();"), "shared_from_this")
        self.good(coroutine("bool detached = false;  // not asio::detached"))

    def test_words(self):
        self.bad({"README.md": "# TO" + "DO\n"}, "README.md:1: unfinished work")
        self.bad({"x.cfg": "\n-----BEGIN RSA PRIVATE" + " KEY-----\n"}, "x.cfg:2: a private key")
        self.good({"README.md": "mktemp XXXXXX, todo\n"})


class Folders(Case):
    def includes(self, path, *targets):
        return {path: "".join(f"#include {target}\n" for target in targets)}

    def test_folders(self):
        self.good(self.includes("master/x.cpp", '"common/json.hpp"', '"master/x.hpp"'))
        self.good(self.includes("test/unit/x.cpp", '"cli/x.hpp"', '"master/x.hpp"'))
        self.good(self.includes("common/x.cpp", "<boost/asio.hpp>", "<openssl/ssl.h>"))
        self.bad(self.includes("common/x.hpp", '"slave/x.hpp"'), "x.hpp:1: common may not")
        self.bad(self.includes("master/x.cpp", '"slave/x.hpp"'), "x.cpp:1: master may not")
        self.bad(self.includes("slave/web/x.cpp", '"master/x.hpp"'), "slave may not")
        self.bad(self.includes("cli/x.cpp", '"test/x.hpp"'), "cli may not")

    def test_from_the_root(self):
        self.bad(self.includes("slave/x.cpp", '"x.hpp"'), "from the root")
        self.bad(self.includes("slave/web/x.cpp", '"../../master/x.hpp"'), "from the root")

    def test_cores_are_pure(self):
        self.good(self.includes("master/core/x.cpp", '"common/limits.hpp"', '"master/core/x.hpp"'))
        self.good(self.includes("slave/core/x.hpp", "<chrono>", "<map>"))
        core = "master/core/x.cpp"
        self.bad(self.includes(core, "<boost/asio.hpp>"), "may not include <boost/asio.hpp>")
        self.bad(self.includes(core, "<sqlite3.h>"), "<sqlite3.h>")
        self.bad(self.includes(core, "<random>"), "<random>")
        self.bad(self.includes(core, '"master/store.hpp"'), '"master/store.hpp"')
        self.bad(self.includes(core, '"common/wakeup.hpp"'), '"common/wakeup.hpp"')
        self.bad(self.includes(core, '"slave/core/x.hpp"'), '"slave/core/x.hpp"')

    def test_pure_headers_stay_pure(self):
        self.good(self.includes("common/messages.hpp", "<boost/describe/class.hpp>"))
        self.bad(self.includes("common/ids.hpp", "<openssl/rand.h>"), "<openssl/rand.h>")
        self.bad(self.includes("common/errors.hpp", '"common/tls.hpp"'), '"common/tls.hpp"')


class Languages(Case):
    def test_format(self):
        style = {".clang-format": (ROOT / ".clang-format").read_text()}
        self.good(style | {"cli/x.cpp": "int x;\n"})
        self.bad(style | {"cli/x.cpp": "int  x;\n"}, "cli/x.cpp: not formatted")

    def test_python(self):
        self.good({"a.py": "print(1)\n", "tool": "#!/usr/bin/env python3\nprint(1)\n"})
        self.bad({"a.py": "def f(:\n"}, "a.py:1: does not compile")
        self.bad({"tool": "#!/usr/bin/env python3\n\nx = (\n"}, "tool:3: does not compile")

    def test_shell(self):
        self.good({"a.sh": "#!/bin/bash\necho 1\n"})
        self.bad({"tool": "#!/usr/bin/env bash\nif true; do\n"}, "tool:", problems=None)

    @unittest.skipUnless(shutil.which("mypy"), "mypy is not installed")
    def test_types(self):
        typed = "def f(a: int) -> int:\n    return a\n"
        self.good({"python/a.py": typed, "tool.py": "def f(a):\n    return a\n"})
        self.bad({"python/a.py": typed + "f('')\n"}, "python/a.py:3: error:")
        self.bad({"python/a.py": "def f(a):\n    return a\n"}, "missing a type annotation")

    def test_foreign_folders_are_left_alone(self):
        self.good({f"{name}/x.cpp": '#include "x"\n' for name in ("build", "build-asan", ".git")})


class Sizes(Case):
    def test_lines(self):
        self.good({"cli/x.cpp": "int x;\n" * 400})
        self.warned({"cli/x.cpp": "int x;\n" * 401}, "x.cpp: warning: 401 lines")

    def test_functions(self):
        self.good(coroutine(*["g();"] * 68))
        self.warned(coroutine(*["g();"] * 69), "x.cpp:1: warning: f: 71 lines")

    def test_columns(self):
        self.good({"a.py": "#" * 100 + "\n"})
        self.warned({"a.py": "\n" + "#" * 101 + "\n"}, "a.py:2: warning: 101 columns")


class Counted(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


if __name__ == "__main__":
    runner = unittest.TextTestRunner(sys.stdout, resultclass=Counted)
    result = runner.run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]))
    failed = len(result.failures) + len(result.errors)
    print(f"{result.passed} passed, {failed} failed")
    sys.exit(1 if failed or not result.passed else 0)
