"""What the faulty API server does wrong, and what it has to remember for that. Its requests have a thread each."""

import socket
import threading

FAULTS = ("none", "half-lists", "no-routes")


class Faults:
    def __init__(self):
        self.lock = threading.Lock()
        self.fault, self.choice = "none", 0
        # Of each client's list that a watch went on from: at which choice it was last complete.
        self.lists, self.followed = {}, set()
        # The connections of the watches that are open.
        self.open_watches = set()
        self.counts = {}

    def choose(self, fault):
        if fault not in FAULTS:
            return False
        with self.lock:
            self.fault, self.choice, self.counts = fault, self.choice + 1, {}
            # Not the socket's own: that of TLS would say farewell, which is for the thread that reads.
            for connection in self.open_watches:
                try:
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
                except OSError:
                    pass
        return True

    def told(self):
        with self.lock:
            late = [subject for subject in self.followed if self.lists[subject] < self.choice]
            names = sorted(" ".join(filter(None, subject)) for subject in late)
            return {"fault": self.fault, "awaited": len(late), "late": names, **self.counts}

    def list(self, path):
        """What is to be wrong with a list, and the choice that it belongs to."""
        is_of_routes = path.endswith("/routes")
        with self.lock:
            number = self.count("lists")
            if is_of_routes:
                self.count("routes_lists")
            fault = None
            if self.fault == "half-lists" and number % 2 == 1:
                fault = "refused" if number % 4 == 1 else "cut"
            elif self.fault == "no-routes" and is_of_routes:
                fault = "emptied"
            if fault:
                self.count(fault)
                if is_of_routes:
                    self.count("routes_faults")
            return fault, self.choice

    def count(self, name):
        self.counts[name] = self.counts.get(name, 0) + 1
        return self.counts[name]

    def listed(self, subject, choice):
        with self.lock:
            self.lists[subject] = choice

    def may_watch(self, subject):
        """The choice that the watch belongs to; none if its client hasn't listed since then."""
        with self.lock:
            if self.lists.get(subject) != self.choice:
                return None
            self.followed.add(subject)
            return self.choice

    def watching(self, connection, choice):
        """Whether the watch may begin: nothing else was chosen meanwhile."""
        with self.lock:
            if self.choice == choice:
                self.open_watches.add(connection)
            return self.choice == choice

    def watched(self, connection):
        with self.lock:
            self.open_watches.discard(connection)
