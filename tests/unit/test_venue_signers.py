"""Nonces and agents of the local venue."""

import pytest

from adapters.sim.venue.chain.signers import (
    REMOVAL,
    Agent,
    AgentName,
    Signers,
    read_agent_name,
)
from adapters.sim.venue.exchange.accounts import VenueAccount
from adapters.sim.venue.settings import VenueSettings
from adapters.sim.venue.words import AGENT_TAKEN, BAD_VALIDITY, NAME_TOO_LONG, NO_SUCH_AGENT

DAY = 86_400_000
START = 1_791_399_996_699
NOW = START
MASTER = "0x" + 40 * "a"
OTHER = "0x" + 40 * "b"
SUB = "0x" + 40 * "c"


def agent(number: int) -> str:
    return f"0x{number:040x}"


def make(settings: VenueSettings | None = None, *, subs: int = 0) -> Signers:
    accounts = {address: VenueAccount(address) for address in (MASTER, OTHER, SUB)}
    accounts[MASTER].sub_accounts.extend(agent(900 + number) for number in range(subs))
    return Signers(accounts, settings or VenueSettings(), START)


class TestNonces:
    def test_a_nonce_counts_once(self) -> None:
        signers = make()
        assert signers.use_nonce(MASTER, NOW, NOW) is None
        assert signers.use_nonce(MASTER, NOW, NOW + 1) == f"Invalid nonce: duplicate nonce {NOW}"

    def test_each_signer_has_its_own(self) -> None:
        signers = make()
        assert signers.use_nonce(MASTER, NOW, NOW) is None
        assert signers.use_nonce(OTHER, NOW, NOW) is None

    def test_order_of_arrival_does_not_matter(self) -> None:
        signers = make()
        for nonce in (NOW, NOW - 5, NOW + 7, NOW - 3):
            assert signers.use_nonce(MASTER, nonce, NOW) is None

    def test_the_recorded_text_of_two_days(self) -> None:
        text = "Invalid nonce: nonce too low 1791140676851 < 1791227196699"
        assert make().use_nonce(MASTER, 1791140676851, 1791227196699 + 2 * DAY) == text

    def test_the_recorded_text_of_one_day(self) -> None:
        text = "Invalid nonce: nonce too high 1791572677029 > 1791486156858"
        assert make().use_nonce(MASTER, 1791572677029, 1791486156858 - DAY) == text

    def test_both_ends_of_the_window_are_outside(self) -> None:
        signers = make()
        low, high = NOW - 2 * DAY, NOW + DAY
        assert signers.use_nonce(MASTER, low, NOW) == f"Invalid nonce: nonce too low {low} < {low}"
        assert signers.use_nonce(MASTER, low + 1, NOW) is None
        assert signers.use_nonce(MASTER, high, NOW) == f"Invalid nonce: nonce too high {high} > {high}"
        assert signers.use_nonce(MASTER, high - 1, NOW) is None

    def test_below_the_hundred_highest(self) -> None:
        signers = make()
        for nonce in range(NOW, NOW + 200, 2):
            assert signers.use_nonce(MASTER, nonce, NOW) is None
        assert signers.use_nonce(MASTER, NOW - 1, NOW) == f"Invalid nonce: nonce too low {NOW - 1} < {NOW}"
        assert signers.use_nonce(MASTER, NOW, NOW) == f"Invalid nonce: duplicate nonce {NOW}"
        assert signers.use_nonce(MASTER, NOW + 1, NOW) is None  # pushes NOW out
        assert signers.use_nonce(MASTER, NOW, NOW) == f"Invalid nonce: nonce too low {NOW} < {NOW + 1}"

    def test_while_fewer_are_kept_any_older_one_is_welcome(self) -> None:
        signers = make()
        for nonce in range(NOW, NOW + 99):
            assert signers.use_nonce(MASTER, nonce, NOW) is None
        assert signers.use_nonce(MASTER, NOW - DAY, NOW) is None
        refusal = f"Invalid nonce: nonce too low {NOW - DAY - 1} < {NOW - DAY}"
        assert signers.use_nonce(MASTER, NOW - DAY - 1, NOW) == refusal

    def test_a_refused_nonce_stays_unused(self) -> None:
        signers = make()
        assert signers.use_nonce(MASTER, NOW + DAY, NOW) is not None
        assert signers.use_nonce(MASTER, NOW + DAY, NOW + 1) is None

    def test_from_the_start_on_where_venue_time_runs_ahead(self) -> None:
        usual, ahead = make(), make(VenueSettings(nonces_from_start=True))
        late = START + 30 * DAY
        assert usual.use_nonce(MASTER, START, late) == f"Invalid nonce: nonce too low {START} < {late - 2 * DAY}"
        assert ahead.use_nonce(MASTER, START, late) is None
        low = START - 2 * DAY
        assert ahead.use_nonce(MASTER, low, late) == f"Invalid nonce: nonce too low {low} < {low}"
        assert ahead.use_nonce(MASTER, late + DAY - 1, late) is None
        high = late + DAY
        assert ahead.use_nonce(MASTER, high, late) == f"Invalid nonce: nonce too high {high} > {high}"


class TestAgents:
    def test_an_agent_acts_for_its_master_until_it_expires(self) -> None:
        signers = make()
        assert signers.account_of(agent(1), NOW) == agent(1)  # nobody's agent: itself
        assert signers.approve(MASTER, agent(1), None, NOW) is None
        expiry = NOW + 90 * DAY
        assert signers.account_of(agent(1), expiry - 1) == MASTER
        assert signers.master_of(agent(1), expiry - 1) == MASTER
        assert signers.account_of(agent(1), expiry) is None
        assert signers.master_of(agent(1), expiry) is None
        assert signers.agents_of(MASTER, expiry - 1) == [Agent(None, agent(1), expiry)]
        assert signers.agents_of(MASTER, expiry) == []

    def test_accounts_are_no_agents(self) -> None:
        signers = make()
        assert signers.account_of(MASTER, NOW) == MASTER
        assert signers.master_of(MASTER, NOW) is None

    def test_the_default_validity_is_a_setting_of_at_most_180_days(self) -> None:
        signers = make(VenueSettings(agent_validity_ms=DAY))
        signers.approve(MASTER, agent(1), "", NOW)
        assert signers.agents_of(MASTER, NOW) == [Agent(None, agent(1), NOW + DAY)]
        signers = make(VenueSettings(agent_validity_ms=1_000 * DAY))
        signers.approve(MASTER, agent(1), "", NOW)
        assert signers.agents_of(MASTER, NOW) == [Agent(None, agent(1), NOW + 180 * DAY)]

    def test_a_new_agent_replaces_the_one_of_its_name(self) -> None:
        signers = make()
        for number, name in ((1, None), (2, "bot"), (3, ""), (4, "bot")):
            assert signers.approve(MASTER, agent(number), name, NOW) is None
        assert [signers.account_of(agent(number), NOW) for number in (1, 2, 3, 4)] == [None, None, MASTER, MASTER]
        assert [(held.name, held.address) for held in signers.agents_of(MASTER, NOW)] == [
            (None, agent(3)),
            ("bot", agent(4)),
        ]

    def test_one_unnamed_and_three_named(self) -> None:
        signers = make()
        for number, name in enumerate((None, "a", "b", "c")):
            assert signers.approve(MASTER, agent(number + 1), name, NOW) is None
        refusal = "Too many extra agents for cumulative volume traded. Current limit is 3"
        assert signers.approve(MASTER, agent(9), "d", NOW) == refusal
        assert signers.account_of(agent(9), NOW) == agent(9)
        assert signers.approve(MASTER, agent(10), "c", NOW) is None
        assert signers.approve(OTHER, agent(9), "d", NOW) is None

    def test_two_more_for_each_sub_account(self) -> None:
        signers = make(subs=2)
        for number in range(7):
            assert signers.approve(MASTER, agent(number + 1), f"bot {number}", NOW) is None
        refusal = "Too many extra agents for cumulative volume traded. Current limit is 7"
        assert signers.approve(MASTER, agent(8), "bot 7", NOW) == refusal

    def test_expired_agents_take_no_place(self) -> None:
        signers = make()
        for number in (1, 2, 3):
            signers.approve(MASTER, agent(number), f"bot {number}", NOW, NOW + number)
        assert signers.approve(MASTER, agent(4), "bot 4", NOW) is not None
        assert signers.approve(MASTER, agent(4), "bot 4", NOW + 1) is None
        assert signers.account_of(agent(1), NOW + 1) is None

    @pytest.mark.parametrize("address", [MASTER, OTHER, SUB])
    def test_an_account_cannot_become_an_agent(self, address: str) -> None:
        signers = make()
        assert signers.approve(MASTER, address, "bot", NOW) == AGENT_TAKEN
        assert signers.account_of(address, NOW) == address

    def test_an_agent_cannot_become_anothers(self) -> None:
        signers = make()
        signers.approve(OTHER, agent(1), "bot", NOW, NOW + 10)
        assert signers.approve(MASTER, agent(1), "bot", NOW + 9) == "Extra agent already used."
        assert signers.account_of(agent(1), NOW + 9) == OTHER
        assert signers.approve(MASTER, agent(1), "bot", NOW + 10) is None
        assert signers.account_of(agent(1), NOW + 10) == MASTER
        assert signers.agents_of(OTHER, NOW) == []

    def test_a_renewal_removes_first(self) -> None:
        signers = make()
        signers.approve(MASTER, agent(1), "bot", NOW)
        assert signers.approve(MASTER, agent(1), "bot", NOW) == AGENT_TAKEN
        assert signers.approve(MASTER, REMOVAL, "bot", NOW) is None
        assert signers.account_of(agent(1), NOW) is None
        assert signers.approve(MASTER, REMOVAL, "bot", NOW) == NO_SUCH_AGENT
        assert signers.approve(MASTER, agent(1), "bot", NOW + 1) is None
        assert signers.account_of(agent(1), NOW + 1) == MASTER

    def test_a_refused_approval_replaces_nobody(self) -> None:
        signers = make()
        signers.approve(MASTER, agent(1), "bot", NOW)
        assert signers.approve(MASTER, OTHER, "bot", NOW) == AGENT_TAKEN
        assert signers.approve(MASTER, agent(2), f"bot valid_until {NOW}", NOW) == BAD_VALIDITY
        assert signers.account_of(agent(1), NOW) == MASTER

    def test_the_name_may_carry_the_expiry(self) -> None:
        signers = make()
        assert signers.approve(MASTER, agent(1), f"bot valid_until {NOW + 5}", NOW) is None
        assert signers.approve(MASTER, agent(2), "bot 2", NOW, NOW + 6) is None
        assert signers.agents_of(MASTER, NOW) == [
            Agent("bot", agent(1), NOW + 5),
            Agent("bot 2", agent(2), NOW + 6),
        ]

    def test_the_expiry_lies_ahead_and_within_180_days(self) -> None:
        signers = make()
        for wrong in (NOW - 1, NOW, NOW + 180 * DAY + 1):
            assert signers.approve(MASTER, agent(1), "bot", NOW, wrong) == BAD_VALIDITY
        assert signers.approve(MASTER, agent(1), "bot", NOW, NOW + 180 * DAY) is None

    def test_a_name_has_up_to_16_characters_without_its_expiry(self) -> None:
        signers = make()
        assert signers.approve(MASTER, agent(1), 17 * "x", NOW) == NAME_TOO_LONG
        assert signers.approve(MASTER, agent(1), 16 * "x" + f" valid_until {NOW + 1}", NOW) is None

    def test_removing_an_agent(self) -> None:
        signers = make()
        assert not signers.remove(agent(1))
        signers.approve(MASTER, agent(1), "bot", NOW)
        assert signers.remove(agent(1))
        assert not signers.remove(agent(1))
        assert signers.account_of(agent(1), NOW) is None
        assert signers.agents_of(MASTER, NOW) == []

    def test_a_removed_agents_nonces_are_forgotten(self) -> None:
        """So that what it signed can come back with it, as the venue warns."""
        signers = make()
        signers.approve(MASTER, agent(1), "bot", NOW)
        assert signers.use_nonce(agent(1), NOW, NOW) is None
        signers.remove(agent(1))
        signers.approve(MASTER, agent(1), "bot", NOW)
        assert signers.use_nonce(agent(1), NOW, NOW) is None

    def test_replacing_one_agent_leaves_the_others_nonces(self) -> None:
        signers = make()
        signers.approve(MASTER, agent(1), "bot", NOW)
        signers.approve(MASTER, agent(2), "bot 2", NOW)
        signers.use_nonce(agent(1), NOW, NOW)
        signers.approve(MASTER, agent(3), "bot 2", NOW)
        assert signers.use_nonce(agent(1), NOW, NOW) == f"Invalid nonce: duplicate nonce {NOW}"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (None, AgentName(None, None)),
        ("", AgentName(None, None)),
        ("bot", AgentName("bot", None)),
        ("bot valid_until 1767776120478", AgentName("bot", 1767776120478)),
        (" valid_until 1767776120478", AgentName(None, 1767776120478)),
        ("valid_until 1767776120478", AgentName(None, 1767776120478)),
        ("my bot 2 valid_until 5", AgentName("my bot 2", 5)),
        ("bot valid_until", AgentName("bot valid_until", None)),
        ("bot valid_until x", AgentName("bot valid_until x", None)),
        ("bot valid_until 5 ", AgentName("bot valid_until 5 ", None)),
        ("invalid_until 5", AgentName("invalid_until 5", None)),
        ("a valid_until 1 valid_until 2", AgentName("a valid_until 1", 2)),
    ],
)
def test_reading_an_agents_name(text: str | None, name: AgentName) -> None:
    assert read_agent_name(text) == name
