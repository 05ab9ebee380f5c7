"""Every environment variable of the earlier engine, and what became of it (see `config.migration`)."""

from __future__ import annotations

from config.migration import Fate, heritage

_P = "AI_QUANT_"
_TUNING = "an internal figure of the earlier engine; nothing here corresponds to it"
_SIDECAR = "there is no sidecar: one process reads the venue"
_FEED = "how long a stream is usually silent is learned, and judged against the others and a spot check"
_ENTRY_INTERVAL = "a signal is decided on once, when its candle closes, at the price of that moment"
_LIVE_YAML = "in the overrides file, under `live: {trade: ...}`"
_RECORDED = "every analysis is recorded with every gate's value: `./aiq why SYMBOL`"
_OMS = "orders follow evidence from the venue, not clocks and guesses; there is nothing to tune"
_LOGS = "the log is text or JSON on standard error, and in AI_QUANT_LOG_FILE, which is rotated by size"
_ALERT_URLS = (
    "AI_QUANT_ALERT_URLS: apprise URLs of Discord, Telegram, mail and many more; `./aiq alerts test` tries them"
)
_ALERT_SENDING = (
    "a thread of its own sends, within limits, and tries again; AI_QUANT_ALERT_WINDOW_S spaces what repeats"
)
_METRICS = "AI_QUANT_METRICS_PORT: /metrics for Prometheus and /healthz, on loopback only"
_MONITOR = "a running daemon is watched with `./aiq status --watch`, or by its metrics"
_RISK_LATER = "the risk guard does not know this limit yet"
_HARD_KILL = (
    "it blocked exits too, and nothing here does: AI_QUANT_KILL_SWITCH=close_only ends entries, =halt closes everything"
)
_PROMOTION = "promotion, kernel and factory plumbing; no such parts here"
_HEALTH = "an account event is never dropped and an unexplained fill is always reported; no thresholds"

VARIABLES = (
    # Engine, mode, strategy, universe.
    *heritage(_P, "MODE STRATEGY_YAML STRATEGY_MODE PAPER_BALANCE HEARTBEAT_SECS", Fate.KEPT),
    *heritage(_P, "DB_PATH", Fate.KEPT, "default user_data/{mode}-{network}.sqlite: a ledger belongs to one account"),
    *heritage(_P, "MARKET_DB_PATH", Fate.KEPT, "a file of its own by default"),
    *heritage(_P, "SYMBOLS", Fate.KEPT, "case-sensitive: kPEPE is not KPEPE"),
    *heritage(_P, "INTERVAL", Fate.KEPT, "default 1m on the local market, 1h elsewhere; beats `engine.interval`"),
    *heritage(_P, "SIGNAL_ON_CANDLE_CLOSE", Fate.KEPT, "beats `engine.signal_on_candle_close`"),
    *heritage(_P, "CANDLE_CLOSE_GRACE_MS", Fate.KEPT, "default 1000 (was 2000); waits after the candle's end"),
    *heritage(_P, "DB_TIMEOUT_S", Fate.DROPPED, "one writer: nothing waits for a lock"),
    *heritage(_P, "LOCK_PATH", Fate.DROPPED, "the lock lies beside the ledger it protects"),
    *heritage(_P, "SECRETS_PATH", Fate.RENAMED, "AI_QUANT_AGENT_KEY_FILE, a file that holds nothing but the key"),
    *heritage(_P, "STRATEGY_TOML", Fate.DROPPED, "YAML only"),
    *heritage(_P, "STRATEGY_CHANGELOG", Fate.DROPPED, "decisions carry the digest of the config in force"),
    *heritage(_P, "STRATEGY_MODE_FILE", Fate.DROPPED, "the mode is chosen at start, by AI_QUANT_STRATEGY_MODE"),
    *heritage(_P, "TOP_N", Fate.KEPT, "1 to 500, not set by default; a rank must be worse by a fifth to leave"),
    *heritage(_P, "WATCHLIST_REFRESH_S", Fate.KEPT, "default 600 (was 60): a look costs a weight of 20"),
    *heritage(_P, "LOOKBACK_BARS", Fate.DROPPED, "warm-up is always 600 candles, three times the longest window"),
    *heritage(_P, "ENTRY_INTERVAL", Fate.DROPPED, _ENTRY_INTERVAL),
    *heritage(_P, "EXIT_PRICE_SOURCE", Fate.DROPPED, "exits are looked at on every price change"),
    *heritage(_P, "LOOP_TARGET_SECS", Fate.DROPPED, "there is no polling loop: work is done when it is due"),
    *heritage(
        _P,
        "ENTRY_MAX_DELAY_MS ENTRY_MAX_DELAY_S",
        Fate.DROPPED,
        "always on: an entry leaves within 10 % of the interval, 60 s at most, or not at all",
    ),
    *heritage(_P, "ENTRY_RETRY_ON_CAPACITY", Fate.DROPPED, "one entry decision per candle; every refusal is recorded"),
    *heritage(_P, "NEUTRAL_AUDIT_SAMPLE_EVERY_S NEUTRAL_AUDIT_SAMPLE_SYMBOLS", Fate.DROPPED, _RECORDED),
    *heritage(_P, "DEBUG_GATES_SYMBOLS DEBUG_GATES_EVERY_S", Fate.DROPPED, _RECORDED),
    *heritage(_P, "PAPER_FUNDING_SECS", Fate.DROPPED, "funding is paid on the hour, as the venue does"),
    *heritage(
        _P,
        "EQUITY_MID_MAX_AGE_S EQUITY_REST_MIDS_TTL_S EQUITY_REST_TIMEOUT_S EQUITY_*",
        Fate.DROPPED,
        "equity is marked from the same prices that decisions use",
    ),
    *heritage(_P, "ALLOCATION_PCT", Fate.RENAMED, "trade.allocation_pct in the overrides file"),
    *heritage(_P, "INSTANCE_TAG", Fate.DROPPED, "a ledger carries its own tag"),
    *heritage(_P, "RUN_ID RUN_FINGERPRINT", Fate.DROPPED, "sessions number themselves"),
    *heritage(
        _P,
        "PAPER_BALANCE_FROM_LIVE MIRROR_LIVE_ON_PROMOTE",
        Fate.DROPPED,
        "set AI_QUANT_PAPER_BALANCE to what you want",
    ),
    *heritage(
        _P,
        "MODE_SWITCH_ENABLE MODE_SWITCH_COOLDOWN_S MODE_SWITCH_EXIT_ON_RESTART_REQUIRED",
        Fate.DROPPED,
        "nothing changes the strategy's mode by itself",
    ),
    *heritage(_P, "PROMOTED_ROLE ARTIFACTS_DIR EFFECTIVE_* KERNEL_* BT_RUNTIME_PATH", Fate.DROPPED, _PROMOTION),
    # Market data.
    *heritage(_P, "WS_ENABLE_CANDLE WS_ENABLE_BBO", Fate.KEPT),
    *heritage(_P, "WS_ENABLE_META", Fate.DROPPED, "the venue has no such channel"),
    *heritage(
        _P,
        """WS_SOURCE CANDLES_SOURCE CANDLES_DB_DIR WS_SIDECAR_SOCK WS_CLIENT_ID INFO_URL CANDLES_ENABLE
        CANDLE_VERIFY_SECS CANDLE_REST_TIMEOUT_S CANDLE_REST_MIN_GAP_MS CANDLE_REST_MAX_INFLIGHT
        CANDLE_REST_CHUNK_BARS CANDLE_HORIZON_* SIDECAR_SYMBOLS SIDECAR_INTERVALS SIDECAR_CANDLE_LIMIT
        WS_CLIENT_TTL_SECS WS_CANDLE_RESET_WINDOW_SECS WS_CANDLE_MAX_RESETS_IN_WINDOW WS_CANDLE_DISABLE_SECS
        CANDLE_PRUNE_DISABLE_INTERVALS MIDS_FROM_BBO BBO_SNAPSHOTS_*""",
        Fate.DROPPED,
        _SIDECAR,
    ),
    *heritage("", "HL_WS_SUB_SEND_MS HL_WS_MAX_INCOMING_QUEUE", Fate.DROPPED, _SIDECAR),
    *heritage(
        _P,
        """WS_STALE_MIDS_S WS_STALE_CANDLES_S WS_STALE_BBO_S WS_STALE_STRIKES WS_RESTART_COOLDOWN_S
        WS_RESTART_WINDOW_S WS_RESTART_MAX_IN_WINDOW""",
        Fate.DROPPED,
        _FEED,
    ),
    *heritage(_P, "REST_ENABLE", Fate.DROPPED, "REST is needed to repair gaps; it keeps to half the venue's budget"),
    *heritage(
        _P,
        """REST_CANDLE_BACKFILL REST_CANDLE_BACKFILL_WORKERS REST_CANDLE_BACKFILL_MAX_INFLIGHT
        REST_CANDLE_BACKFILL_SUCCESS_COOLDOWN_S REST_CANDLE_BACKFILL_FAILURE_COOLDOWN_S
        REST_CANDLE_BACKFILL_MAX_COOLDOWN_S REST_CANDLE_BACKFILL_* REST_CANDLE_RETRIES REST_OPEN_ORDERS_RETRIES
        REST_ALL_MIDS_RETRIES REST_ALL_MIDS_TIMEOUT_S HL_TIMEOUT_S HL_META_FAIL_COOLDOWN_S""",
        Fate.DROPPED,
        "one weight budget rules every request",
    ),
    *heritage("", "HL_WS_URL", Fate.RENAMED, "AI_QUANT_NETWORK"),
    *heritage(
        "",
        "HL_WS_RECONNECT_SECS HL_WS_PING_SECS HL_WS_CANDLE_PERSIST_SECS HL_WS_MAX_EVENT_QUEUE",
        Fate.DROPPED,
        _TUNING,
    ),
    # Live, orders, health.
    *heritage(_P, "LIVE_ENABLE LIVE_CONFIRM", Fate.KEPT, "both are needed for live on a real network"),
    *heritage(_P, "LIVE_MAX_OPEN_POSITIONS", Fate.RENAMED, f"max_open_positions {_LIVE_YAML}"),
    *heritage(_P, "LIVE_MAX_NOTIONAL_USD_PER_ORDER", Fate.RENAMED, f"max_notional_usd_per_order {_LIVE_YAML}"),
    *heritage(_P, "LIVE_MIN_MARGIN_USD", Fate.RENAMED, f"min_margin_usd {_LIVE_YAML}"),
    *heritage(_P, "LIVE_MAX_ENTRY_ORDERS_PER_LOOP", Fate.RENAMED, f"max_entry_orders_per_loop {_LIVE_YAML}"),
    *heritage(_P, "LIVE_ENTRY_COOLDOWN_S", Fate.RENAMED, f"entry_cooldown_s {_LIVE_YAML}"),
    *heritage(_P, "LIVE_EXIT_COOLDOWN_S", Fate.RENAMED, f"exit_cooldown_s {_LIVE_YAML}"),
    *heritage(
        _P,
        """LIVE_ENTRY_FAIL_BACKOFF_S LIVE_PENDING_OPEN_TTL_S LIVE_PENDING_CTX_TTL_S LIVE_STATE_SYNC_SECS
        LIVE_REST_FILLS_SYNC_SECS LIVE_BACKFILL_MS LIVE_MAX_PENDING_FILLS LIVE_ERR_LOG_EVERY_S
        LIVE_DROPPED_FILLS_PATH LIVE_SUBMIT_UNKNOWN_RECONCILE_COOLDOWN_S""",
        Fate.DROPPED,
        _OMS,
    ),
    *heritage("", "HL_LIVE_MARKET_SLIPPAGE_PCT", Fate.LATER, "market orders come with the Hyperliquid adapter"),
    *heritage("", "HL_LIVE_USER_STATE_TTL_S HL_LIVE_SPOT_STATE_TTL_S", Fate.DROPPED, _TUNING),
    *heritage(
        "",
        """HL_PERP_TAKER_FEE_RATE HL_PERP_MAKER_FEE_RATE HL_REFERRAL_DISCOUNT_PCT HL_BUILDER_FEE_RATE HL_FEE_MODE""",
        Fate.DROPPED,
        "fees are the venue's schedule, maker and taker told apart by the fill",
    ),
    *heritage("", "HL_FUNDING_ENABLED", Fate.DROPPED, "funding is always paid, as at the venue"),
    *heritage("", "HL_DEFAULT_LEVERAGE", Fate.RENAMED, "trade.leverage in the overrides file"),
    *heritage("", "HL_SLIPPAGE_BPS", Fate.RENAMED, "trade.slippage_bps in the overrides file"),
    *heritage(
        _P,
        """OMS_STORE_DB_TIMEOUT_S OMS_DB_TIMEOUT_S AUDIT_DB_TIMEOUT_S POSITION_STATE_DB_TIMEOUT_S
        SIGNAL_DB_TIMEOUT_S OMS_PERSISTENT_CONN""",
        Fate.DROPPED,
        "one writer: nothing waits for a lock",
    ),
    *heritage(
        _P,
        """OMS_MATCH_TTL_MS OMS_EXPIRE_SENT_AFTER_MS OMS_EXPIRE_SENT_MS OMS_UNMATCHED_RECONCILE_SECS
        OMS_UNMATCHED_RECONCILE_MAX OMS_UNMATCHED_RECONCILE_GRACE_MS OMS_MANUAL_INTENT_PREFIX OMS_CLOID_PREFIX
        OMS_RECONCILE_SECS OMS_RECONCILE_REST_TIMEOUT_S OMS_STALE_ORDER_MS OMS_UNKNOWN_STALE_ORDER_MS
        OMS_OPEN_ORDER_PRUNE_MS OMS_CANCEL_STALE OMS_CANCEL_UNKNOWN_PREFIX OMS_*""",
        Fate.DROPPED,
        _OMS,
    ),
    *heritage(_P, "OMS_REQUIRE_INTENT_FOR_ENTRY", Fate.DROPPED, "always: nothing is sent before its intent is stored"),
    *heritage(
        _P,
        """HEALTH_GUARD HEALTH_ALERT_COOLDOWN_S HEALTH_FILL_INGEST_FAILS_TO_KILL HEALTH_FILL_INGEST_KILL
        HEALTH_FILL_INGEST_KILL_MODE HEALTH_PENDING_FILLS_TO_KILL HEALTH_PENDING_FILLS_KILL
        HEALTH_PENDING_FILLS_KILL_MODE HEALTH_UNMATCHED_WINDOW_S HEALTH_UNMATCHED_ALERT_N HEALTH_UNMATCHED_KILL
        HEALTH_UNMATCHED_KILL_MODE HEALTH_UNMATCHED_GRACE_S HEALTH_UNMATCHED_RESOLVE_AFTER_S HEALTH_RESOLVE_AFTER_S
        HEALTH_*""",
        Fate.DROPPED,
        _HEALTH,
    ),
    *heritage(
        _P,
        """SIGNAL_BACKFILL SIGNAL_BACKFILL_SECS SIGNAL_BACKFILL_LOOKBACK_H SIGNAL_BACKFILL_MAX_TRADES
        SIGNAL_BACKFILL_DEDUP_S""",
        Fate.DROPPED,
        "signals are recorded when they are made",
    ),
    # Risk, logs, alerts, monitor.
    *heritage(_P, "KILL_SWITCH", Fate.KEPT, "off, close_only (also 1, on) or halt, which closes all and then stops"),
    *heritage(_P, "KILL_SWITCH_FILE", Fate.KEPT, "removing the file clears nothing: `./aiq kill --clear` does"),
    *heritage(_P, "KILL_SWITCH_MODE", Fate.DROPPED, "AI_QUANT_KILL_SWITCH says it: close_only or halt"),
    *heritage(_P, "HARD_KILL_SWITCH", Fate.REFUSED, _HARD_KILL),
    *heritage(
        _P,
        """RISK_MAX_ENTRY_ORDERS_PER_MIN RISK_MAX_ENTRY_ORDERS_PER_MIN_PER_SYMBOL RISK_MAX_DRAWDOWN_PCT
        RISK_MAX_DAILY_LOSS_USD RISK_NOTIONAL_WINDOW_S RISK_MAX_NOTIONAL_PER_WINDOW_USD
        RISK_DRAWDOWN_REDUCE_POLICY""",
        Fate.KEPT,
        "beats `risk.*` in the overrides file",
    ),
    *heritage(
        _P,
        "RISK_MAX_EXIT_ORDERS_PER_MIN RISK_MAX_CANCELS_PER_MIN RISK_MIN_ORDER_GAP_MS",
        Fate.DROPPED,
        "exits and cancels are never throttled by a limit of ours",
    ),
    *heritage(
        _P,
        "RISK_SLIPPAGE_GUARD_ENABLED RISK_SLIPPAGE_GUARD_WINDOW_FILLS RISK_SLIPPAGE_GUARD_MAX_MEDIAN_BPS",
        Fate.RENAMED,
        "`risk: {slippage_guard: {enabled, window_fills, max_median_bps}}` in the overrides file",
    ),
    *heritage(_P, "DRAWDOWN_CLOSE_ALL_STALE_MID_MAX_AGE_S", Fate.DROPPED, "closing all tries until it is flat"),
    *heritage(
        _P,
        """RISK_EXPOSURE_ENABLED RISK_EXPOSURE_ALTS_MAX_LONGS RISK_EXPOSURE_ALTS_MAX_SHORTS
        RISK_EXPOSURE_EXCLUDE_SYMBOLS RISK_HEAT_ENABLED RISK_HEAT_MAX_PCT RISK_HEAT_SL_ATR_MULT
        RISK_HEAT_FALLBACK_ATR_PCT RISK_PERF_STOP_ENABLED RISK_PERF_STOP_WINDOW_TRADES
        RISK_PERF_STOP_WINDOW_MINUTES RISK_PERF_STOP_MIN_TRADES RISK_PERF_STOP_MIN_PF RISK_PERF_STOP_MIN_WR
        RISK_PERF_STOP_MIN_SHARPE RISK_PERF_STOP_KILL_MODE""",
        Fate.LATER,
        _RISK_LATER,
    ),
    *heritage(
        _P,
        """SQLITE_LOG SQLITE_LOG_MAX_QUEUE SQLITE_LOG_MAX_CHARS SQLITE_LOG_FLUSH_SECS SQLITE_LOG_BATCH
        SQLITE_LOG_TIMEOUT_S EVENT_LOG EVENT_LOG_DIR EVENT_LOG_PATH EVENT_LOG_BATCH EVENT_LOG_FLUSH_SECS
        EVENT_LOG_MAX_QUEUE RUNTIME_LOG_KEEP_DAYS""",
        Fate.DROPPED,
        _LOGS,
    ),
    *heritage(
        _P,
        "ALERT_TARGETS ALERT_ENABLED DISCORD_CHANNEL DISCORD_CHANNEL_LIVE NOTIFY_DISCORD_LIVE",
        Fate.RENAMED,
        _ALERT_URLS,
    ),
    *heritage(
        _P,
        """ALERT_ASYNC ALERT_QUEUE_MAX ALERT_SEND_TIMEOUT_S DISCORD_ASYNC DISCORD_QUEUE_MAX DISCORD_SEND_TIMEOUT_S
        DISCORD_SEND_RETRIES""",
        Fate.DROPPED,
        _ALERT_SENDING,
    ),
    *heritage(_P, "ALERT_DRY_RUN", Fate.DROPPED, "without AI_QUANT_ALERT_URLS alerts go to the log alone"),
    *heritage(_P, "DISCORD_LABEL", Fate.DROPPED, "every alert's title says its mode and network"),
    *heritage("AIQ_MONITOR_", "PORT", Fate.RENAMED, _METRICS),
    *heritage(
        "AIQ_MONITOR_", "BIND INTERVAL MIDS_MAX_AGE_S HIST_WINDOW_S PAPER_DB LIVE_DB TOKEN", Fate.DROPPED, _MONITOR
    ),
)
