"""What is made at its first use."""

from __future__ import annotations

import threading

from pamdp.lazy import once


def test_a_property_is_computed_once_by_one_thread():
    entered, leave, computed = threading.Event(), threading.Event(), []

    class Subject:
        @once
        def value(self) -> object:
            computed.append(threading.get_ident())
            entered.set()
            leave.wait(10)
            return object()

    subject, found = Subject(), []
    threads = [threading.Thread(target=lambda: found.append(subject.value)) for _ in range(2)]
    threads[0].start()
    entered.wait(10)
    threads[1].start()
    threads[1].join(0.1)  # it has to wait
    assert found == []
    leave.set()
    for thread in threads:
        thread.join()
    assert len(computed) == 1
    assert found[0] is found[1] is subject.value


def test_one_may_need_another():
    class Subject:
        @once
        def first(self) -> int:
            return self.second + 1

        @once
        def second(self) -> int:
            return 1

    assert Subject().first == 2
