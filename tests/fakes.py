"""Doubles of AWS for publishing, by hand: as strict as the real one, and they can be killed."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass, field

from fal_serverless.errors import ConflictError, NotFoundError
from fal_serverless.publish.state import LEASE_SECONDS, LiveFunction, Revision, newest_first

OWNER = "1234567"


def a_revision(name, version="1", function="fal-f", layers=(), mode="serve"):
    return Revision(
        id=name,
        owner=OWNER,
        name="f",
        function=function,
        version=version,
        auth="private",
        mode=mode,
        timeout=30,
        memory=512,
        python="3.11",
        architecture="x86_64",
        package="none",
        lock="",
        bundle="b",
        layers=layers,
        size=10,
        message="",
        created_at=f"2026-01-01T00:{int(version) // 60:02}:{int(version) % 60:02}Z",
    )


class Killed(BaseException):
    """The process died here."""


class Fuse:
    """Burns down with each call that changes something; at zero the process is dead."""

    def __init__(self, calls: int | None = None) -> None:
        self.left = calls
        self.told: list[str] = []

    def step(self, name: str) -> None:
        if self.left is not None:
            if self.left == 0:
                raise Killed
            self.left -= 1
        self.told.append(name)


def conflict(text: str) -> ConflictError:
    return ConflictError(text, reason="the double says so", hint="none")


@dataclass
class FakeClock:
    time: float = 1_700_000_000.0

    def now(self) -> float:
        self.time += 0.001
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class FakeArtifacts:
    fuse: Fuse
    bucket: str = "artifacts"
    keys: set[str] = field(default_factory=set)

    def has(self, key):
        return key in self.keys

    def upload(self, key, path, progress=None):
        self.fuse.step(f"upload {key}")
        self.keys.add(key)


@dataclass
class FakeImages:
    fuse: Fuse
    there: set[str] = field(default_factory=set)

    def has(self, digest):
        return digest in self.there

    def push(self, built, tell):
        self.fuse.step(f"push {built.digest[:19]}")
        self.there.add(built.digest)

    def delete(self, digests):
        self.fuse.step("delete images")
        self.there -= set(digests)


@dataclass
class Fake:
    """One Lambda function: code and configuration now, versions, aliases."""

    code: tuple = ()
    variables: dict = field(default_factory=dict)
    token: int = 0
    versions: dict = field(default_factory=dict)
    aliases: dict = field(default_factory=dict)
    weights: dict = field(default_factory=dict)
    changes: dict = field(default_factory=dict)
    counter: int = 0
    reserved: int | None = None
    snap_start: bool = False


class FakeFunctions:
    def __init__(self, fuse: Fuse) -> None:
        self.fuse = fuse
        self.live: dict[str, Fake] = {}
        self.layers: dict[str, str] = {}
        self.provisioned: dict[tuple[str, str], int] = {}
        self.undeletable = False
        self.total = 1000

    def layer(self, name):
        return self.layers.get(name)

    def publish_layer(self, name, *, bucket, key, python, architecture):
        self.fuse.step(f"layer {name}")
        return self.layers.setdefault(name, f"arn:{name}:1")

    def get(self, function):
        found = self.live.get(function)
        return self._shown(function, found) if found else None

    def _shown(self, name, found):
        return LiveFunction(
            name=name,
            code_sha256=repr(found.code),
            token=str(found.token),
            reserved=found.reserved,
        )

    def create(self, function, code, configuration, tags):
        self.fuse.step("create")
        if function in self.live:
            raise conflict("exists")
        self.live[function] = Fake()
        self._set(function, code, configuration)
        return self.get(function)

    def update(self, function, code, configuration):
        self.fuse.step("update")
        self._set(function, code, configuration)
        return self.get(function)

    def _set(self, function, code, configuration):
        found = self.live[function]
        found.code = (code.bucket, code.key, code.image)
        found.variables = dict(configuration.variables)
        found.snap_start = configuration.snap_start
        found.token += 1

    def publish_version(self, function, *, code_sha256, token):
        self.fuse.step("publish version")
        found = self.live[function]
        if repr(found.code) != code_sha256 or str(found.token) != token:
            raise conflict("precondition")
        found.counter += 1
        found.versions[str(found.counter)] = found.variables["FAL_REVISION"]
        return str(found.counter)

    def versions(self, function):
        return tuple(self.live[function].versions) if function in self.live else ()

    def delete_version(self, function, version):
        self.fuse.step("delete version")
        if self.undeletable:
            raise conflict("in use by another")
        if version in self.live[function].aliases.values():
            raise conflict("an alias points at it")
        self.live[function].versions.pop(version, None)

    def delete(self, function):
        self.fuse.step("delete function")
        self.live.pop(function, None)

    def aliases(self, function):
        return dict(self.live[function].aliases) if function in self.live else {}

    def put_alias(self, function, name, version, split=None):
        self.fuse.step("put alias")
        assert version in self.live[function].versions
        self.live[function].aliases[name] = version
        self._weigh(function, name, split)

    def alias_token(self, function, name):
        if name not in self.live[function].aliases:
            raise NotFoundError("no alias", reason="the double says so", hint="none")
        return str(self.live[function].changes.get(name, 0))

    def weigh_alias(self, function, name, split, *, token=""):
        self.fuse.step("weigh alias")
        if token and token != self.alias_token(function, name):
            raise conflict("precondition")
        self._weigh(function, name, split)

    def _weigh(self, function, name, split):
        live = self.live[function]
        live.changes[name] = live.changes.get(name, 0) + 1
        live.weights.pop(name, None)
        if split:
            assert split[0] in live.versions
            live.weights[name] = split

    def delete_alias(self, function, name):
        self.fuse.step("delete alias")
        if function in self.live:
            self.live[function].aliases.pop(name, None)
            self.live[function].weights.pop(name, None)

    def set_reserved(self, function, count):
        self.fuse.step("reserve")
        self.live[function].reserved = count

    def set_provisioned(self, function, qualifier, count):
        self.fuse.step("provision")
        self.provisioned[function, qualifier] = count

    def unreserved(self):
        return self.total - sum(item.reserved or 0 for item in self.live.values())


@dataclass
class FakeLogs:
    fuse: Fuse
    deleted: list = field(default_factory=list)

    def delete(self, function):
        self.fuse.step("delete log")
        self.deleted.append(function)


@dataclass
class FakeAlarms:
    fuse: Fuse
    there: dict = field(default_factory=dict)

    def put(self, name, watched):
        self.fuse.step("put alarm")
        self.there[name] = watched

    def delete(self, name):
        self.fuse.step("delete alarm")
        self.there.pop(name, None)


class FakeScheduler:
    """EventBridge Scheduler: what fires what, by name."""

    def __init__(self, fuse: Fuse) -> None:
        self.fuse = fuse
        self.firing: dict[str, tuple[str, str, dict]] = {}

    def prepare(self, function, version):
        self.fuse.step("bound retries")
        return f"arn:{function}:{version}"

    def put(self, name, expression, target, event):
        self.fuse.step("put rule")
        self.firing[name] = (expression, target, event)

    def delete(self, name):
        self.fuse.step("delete rule")
        self.firing.pop(name, None)


class FakeRegistry:
    def __init__(self, fuse: Fuse) -> None:
        self.fuse = fuse
        self.leases: dict[str, tuple[str, float]] = {}
        self.kept: dict[tuple[str, str], object] = {}
        self.alias_records: dict[tuple[str, str], object] = {}
        self.rule_records: dict[tuple[str, str], object] = {}
        self.cron_records: dict[tuple[str, str], object] = {}
        self.routes: dict[str, object] = {}
        self.shown_keys: dict[str, list[dict[str, object]]] = {}
        self.tokens = itertools.count()

    def take_lease(self, name, holder, now):
        other, ends = self.leases.get(name, (holder, 0.0))
        if other != holder and ends >= now:
            return other
        self.fuse.step("take lease")
        self.leases[name] = (holder, now + LEASE_SECONDS)
        return None

    def drop_lease(self, name, holder):
        if self.fuse.left == 0:
            return  # the dead drop nothing
        if self.leases.get(name, ("",))[0] == holder:
            del self.leases[name]

    def revision(self, owner, revision):
        return self.kept.get((owner, revision))

    def revisions(self, owner):
        return newest_first(item for (who, _), item in self.kept.items() if who == owner)

    def add_revision(self, revision, route):
        self.fuse.step("add revision")
        if (revision.owner, revision.id) in self.kept:
            raise conflict("exists")
        self.kept[revision.owner, revision.id] = revision
        if route is not None:
            self.routes[f"{route.owner}-{route.label}"] = route

    def delete_revision(self, owner, revision):
        self.fuse.step("delete revision")
        self.kept.pop((owner, revision), None)
        self.routes.pop(f"{owner}-{revision}", None)

    def alias(self, owner, name):
        return self.alias_records.get((owner, name))

    def aliases(self, owner):
        return tuple(item for (who, _), item in self.alias_records.items() if who == owner)

    def put_alias(self, alias, route, *, expected):
        self.fuse.step("record alias")
        if not self._same(alias.owner, alias.name, expected):
            return False
        if (alias.owner, alias.revision) not in self.kept:
            return False
        self.alias_records[alias.owner, alias.name] = alias
        self.routes[f"{route.owner}-{route.label}"] = route
        return True

    def update_alias(self, alias, *, expected):
        self.fuse.step("update alias")
        if not self._same(alias.owner, alias.name, expected):
            return False
        self.alias_records[alias.owner, alias.name] = alias
        return True

    def delete_alias(self, owner, name, *, expected):
        self.fuse.step("forget alias")
        if not self._same(owner, name, expected):
            return False
        del self.alias_records[owner, name]
        self.routes.pop(f"{owner}-{name}", None)
        return True

    def rule(self, owner, name):
        return self.rule_records.get((owner, name))

    def rules(self, owner):
        return tuple(item for (who, _), item in sorted(self.rule_records.items()) if who == owner)

    def put_rule(self, rule):
        self.fuse.step("put rule")
        self.rule_records[rule.owner, rule.name] = rule

    def delete_rule(self, owner, name):
        self.fuse.step("delete rule")
        self.rule_records.pop((owner, name), None)

    def schedules(self, owner):
        return tuple(item for (who, _), item in self.cron_records.items() if who == owner)

    def put_schedule(self, schedule):
        self.fuse.step("record schedule")
        self.cron_records[schedule.owner, schedule.id] = schedule

    def delete_schedule(self, owner, schedule):
        self.fuse.step("forget schedule")
        self.cron_records.pop((owner, schedule), None)

    def _same(self, owner, name, expected):
        found = self.alias_records.get((owner, name))
        return (found.token if found else None) == expected

    def keys(self, owner):
        return tuple(self.shown_keys.get(owner, ()))

    def touch(self, owner, name):
        """Somebody else writes the alias."""
        found = self.alias_records[owner, name]
        token = f"other-{next(self.tokens)}"
        self.alias_records[owner, name] = dataclasses.replace(found, token=token)
