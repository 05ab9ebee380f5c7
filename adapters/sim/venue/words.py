"""What the venue says when it refuses: every text of `hyperliquid-protocol` §6.3 that a perp venue uses.

Texts of one order or one cancel get ` asset=<id>` behind them (`with_asset`); texts of a whole action stand alone.
"""

from __future__ import annotations

from decimal import Decimal

from adapters.sim.venue.numbers import text


def with_asset(refusal: str, asset: int) -> str:
    """A per-order text as the wire carries it."""
    return f"{refusal} asset={asset}"


# -- one order -------------------------------------------------------------------------------------------------------

PRICE_TICK = "Price must be divisible by tick size."
MIN_NOTIONAL = "Order must have minimum value of $10."
NO_MARGIN = "Insufficient margin to place order."
REDUCE_ONLY_INCREASES = "Reduce only order would increase position."
IOC_NO_MATCH = "Order could not immediately match against any resting orders."
BAD_TRIGGER = "Invalid TP/SL price."
NO_LIQUIDITY = "No liquidity available for market order."
OPEN_INTEREST_CAPPED = "Order would increase open interest while open interest is capped"
MAX_POSITION = "Order would cause position to exceed margin tier limit at current leverage"
ZERO_SIZE = "Order has zero size."
BAD_SIZE = "Order has invalid size."
BAD_PRICE = "Order has invalid price."
POST_ONLY_PHASE = "Only post-only orders allowed immediately after a network upgrade"
PRIORITY_IS_FOR_IOC = "Order priority is for IOC orders only."
PRIORITY_TOO_HIGH = "Order priority fee is too high."
BUILDER_NOT_APPROVED = "Builder fee has not been approved."
TRADING_HALTED = "Trading is halted."
DELISTED = TRADING_HALTED
"""The venue's words for an order in a delisted coin are not known; the docs say only that it is halted for good."""
UNKNOWN_ASSET = "Invalid asset"
UNKNOWN_SPOT = "Invalid spot"
TOO_MANY_OPEN_ORDERS = "Too many open orders."
TPSL_NOT_REDUCE_ONLY = "Trigger orders of a TP/SL group must be reduce only."


def alo_would_match(bid: Decimal | None, ask: Decimal | None) -> str:
    """Where a side is empty the venue prints 0."""
    return f"Post only order would have immediately matched, bbo was {_bare(bid)}@{_bare(ask)}."


def price_band(percent: int) -> str:
    return f"Order price cannot be more than {percent}% away from the reference price"


def value_too_large(maximum: Decimal) -> str:
    return f"Order value too large. Max is ${_bare(maximum)}."


# -- cancel and modify -----------------------------------------------------------------------------------------------

CANCEL_TOO_LATE = "Order was never placed, already canceled, or filled."
FAST_CANCEL_OF_TRIGGER = "Trigger orders cannot be canceled fast."
CANNOT_MODIFY = "Cannot modify canceled or filled order"
MODIFY_NOT_POST_ONLY = "Invalid new order: without always_place it must be ALO, or GTC without a match"


def modify_failed(reason: str) -> str:
    """The old order is gone, the new one was refused."""
    return f"Error placing new order during modify: {reason}"


# -- a batch ---------------------------------------------------------------------------------------------------------

MAIN_IS_TRIGGER = "Main order cannot be trigger order."
BAD_TRIGGER_COUNT = "Unexpected number of trigger orders."
ORDERS_EMPTY = "Orders are empty."


def over_weight(limit: int) -> str:
    return f"Signed action over weight limit of {limit}."


# -- leverage and margin ---------------------------------------------------------------------------------------------

BAD_LEVERAGE = "Invalid leverage value"
NO_SWITCH_WITH_POSITION = "Cannot switch leverage type with open position."
CROSS_NO_DECREASE = (
    "Cross position does not have sufficient margin available to decrease leverage. "
    "To decrease leverage, deposit more collateral."
)
ISOLATED_NO_DECREASE = (
    "Isolated position does not have sufficient margin available to decrease leverage. "
    "To decrease leverage, add margin to the position."
)
NOT_ISOLATED = "Position does not use isolated margin."
EMPTY_POSITION = "Cannot update margin for empty position."
ZERO_MARGIN_UPDATE = "Update to isolated margin cannot be zero."
NO_MARGIN_FOR_INCREASE = "Account does not have sufficient margin available for increase."
NO_MARGIN_FOR_REDUCTION = "Position does not have sufficient margin for reduction."


# -- signature, nonce, account ---------------------------------------------------------------------------------------

NO_SIGNER = "Unable to recover signer."
NONCE_MISMATCH = "Nonce mismatch."
WRONG_NETWORK = "Mainnet and testnet require different signature."
EXPIRED = "Action already expired."
NO_EXPIRY_HERE = "expiresAfter is not supported for user-signed actions."
VAULT_NOT_ALLOWED = "Vault may not perform this action."
TOO_MANY_SUB_ACCOUNTS = "Too many sub-accounts."
AGENT_TAKEN = "Extra agent already used."
NO_SUCH_AGENT = "Extra agent does not exist."
LONGEST_AGENT_NAME = 16
# Nobody recorded the venue's words for the next two: these are guesses.
NAME_TOO_LONG = f"Agent name too long. Max length is {LONGEST_AGENT_NAME}."
BAD_VALIDITY = "Invalid agent valid_until."


def does_not_exist(address: str) -> str:
    return f"User or API Wallet {address} does not exist."


def must_deposit(address: str) -> str:
    return f"Must deposit before performing actions. User: {address}"


def vault_not_registered(address: str) -> str:
    return f"Vault not registered: {address}"


def duplicate_nonce(nonce: int) -> str:
    return f"Invalid nonce: duplicate nonce {nonce}"


def nonce_too_low(nonce: int, bound: int) -> str:
    return f"Invalid nonce: nonce too low {nonce} < {bound}"


def nonce_too_high(nonce: int, bound: int) -> str:
    return f"Invalid nonce: nonce too high {nonce} > {bound}"


def too_many_agents(limit: int) -> str:
    return f"Too many extra agents for cumulative volume traded. Current limit is {limit}"


def too_many_requests(used: int, cap: int, volume: Decimal) -> str:
    """The address budget of §9.2 is spent."""
    return (
        f"Too many cumulative requests sent ({used} > {cap}) for cumulative volume traded ${volume:.2f}. "
        "Place taker orders to free up 1 request per USDC traded."
    )


# -- WebSockets ------------------------------------------------------------------------------------------------------


def too_many_subscriptions(limit: int) -> str:
    return f"Cannot subscribe to more than {limit} channels."


def too_many_users(limit: int) -> str:
    return f"Cannot track more than {limit} total users."


def too_many_messages(limit: int) -> str:
    return f"Cannot send more than {limit} messages per minute."


def too_many_posts(post_id: int) -> str:
    return f"too many pending post requests id={post_id}"


# -- the dead man's switch -------------------------------------------------------------------------------------------

SCHEDULE_TOO_EARLY = "Scheduled cancel time too early, must be at least 5 seconds from now."
SCHEDULE_TOO_OFTEN = "Cannot set scheduled cancel time: too many triggers today."


def schedule_volume(required: Decimal, traded: Decimal) -> str:
    return (
        "Cannot set scheduled cancel time until enough volume traded. "
        f"Required: ${_bare(required)}. Traded: ${traded:.2f}."
    )


# -- money -----------------------------------------------------------------------------------------------------------

NO_BALANCE_FOR_WITHDRAWAL = "Insufficient balance for withdrawal."
WITHDRAWAL_TOO_SMALL = "Withdrawal amount does not cover the fee."
NO_BALANCE_FOR_TRANSFER = "Insufficient balance for transfer."
NO_SPOT_BALANCE = "Insufficient spot balance"
BAD_AMOUNT = "Invalid amount."
ZERO_TRANSFER = "Transfer amount must be positive."
SELF_TRANSFER = "Cannot self-transfer."
BAD_SUB_ACCOUNT = "Invalid sub-account."
BAD_TOKEN = "Invalid token"
BAD_DEX = "Invalid perp dex"


# -- twap, builders and the rest -------------------------------------------------------------------------------------

TWAP_GONE = "TWAP was never placed, already canceled, or filled."
BAD_BUILDER_FEE = "Builder fee rate is too large."
BAD_REFERRAL = "Referral code does not exist."
BAD_ABSTRACTION = "Invalid account abstraction."


def bad_twap_duration(minutes: int) -> str:
    return f"Invalid TWAP duration: {minutes} min(s)"


def _bare(value: Decimal | None) -> str:
    """As the venue writes numbers inside texts: without a forced decimal."""
    return "0" if value is None else text(value).removesuffix(".0")
