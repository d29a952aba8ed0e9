"""Who calls: processes that have given up rights, and make the calls that they are told."""

import marshal
import os

from system import CAP_SYS_NICE, CAP_SYS_PTRACE, become_nobody, drop_capability, libc, move_pages


class Here:
    """The executor itself: root, with every capability."""

    def move_pages(self, *call):
        return move_pages(*call)


class Caller:
    def __init__(self, give_up):
        ask, orders = os.pipe()
        answers, answer = os.pipe()
        if os.fork() == 0:
            libc.prctl(1, 9, 0, 0, 0)  # it is killed when the executor ends
            os.close(orders)
            os.close(answers)
            give_up()
            serve(open(ask, "rb"), open(answer, "wb"))  # noqa: SIM115 - until the end
            os._exit(0)
        os.close(ask)
        os.close(answer)
        self.orders, self.answers = open(orders, "wb"), open(answers, "rb")  # noqa: SIM115 - until the end

    def move_pages(self, *call):
        send(self.orders, call)
        return receive(self.answers)


def serve(asked, told):
    while call := receive(asked):
        send(told, move_pages(*call))


def send(file, what):
    message = marshal.dumps(what)
    file.write(len(message).to_bytes(4, "little") + message)
    file.flush()


def receive(file):
    size = file.read(4)
    return marshal.loads(file.read(int.from_bytes(size, "little"))) if size else None


def start_callers():
    """Callers by name."""
    return {
        "root": Here(),
        "root_without_nice": Caller(lambda: drop_capability(CAP_SYS_NICE)),
        "root_without_ptrace": Caller(lambda: drop_capability(CAP_SYS_PTRACE)),
        "nobody": Caller(become_nobody),
    }
