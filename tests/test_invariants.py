"""Which test proves which of the 50 invariants of the manager, the streams and the wires; all are there, and all exist.

`make test-long` runs exactly these, with 10,000 examples each.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

LAWS = "manager/test_laws"
SIDE = "manager/test_side_by_side"
MACHINE = "manager/test_machine::ManagerMachine"
BREAKER = "manager/test_breaker_laws::BreakerMachine"
BUDGET = "manager/test_budget"
ORDER = "manager/test_order"
RINGS = "manager/test_rings::RingMachine"
STREAMS = "manager/test_stream_laws"
LEAF = "providers/test_streams"

INVARIANTS: dict[int, tuple[str, ...]] = {
    1: (f"{LAWS}::test_1_attempts_are_bounded", MACHINE),
    2: (f"{LAWS}::test_2_a_call_with_a_candidate_and_time_makes_an_attempt", MACHINE),
    3: (f"{LAWS}::test_3_a_call_has_exactly_one_outcome", MACHINE),
    4: (f"{LAWS}::test_4_a_success_is_the_result", MACHINE),
    5: (
        f"{LAWS}::test_5_nothing_starts_after_the_end",
        "providers/test_leaf::test_5_nothing_is_sent_at_the_deadline",
        MACHINE,
    ),
    6: (f"{LAWS}::test_6_a_fatal_class_ends_the_call", MACHINE),
    7: (
        f"{LAWS}::test_7_the_same_candidate_gets_the_same_request",
        "providers/test_leaf::test_7_a_repeated_request_is_the_same_to_the_byte",
    ),
    8: (f"{LAWS}::test_8_the_error_lists_the_attempts_in_order", MACHINE),
    9: (f"{LAWS}::test_9_attempts_never_overlap", f"{SIDE}::test_9_at_most_two_overlap_and_all_is_given_back"),
    10: (f"{LAWS}::test_10_waits_are_what_the_vendor_asked_or_full_jitter", MACHINE),
    11: (f"{LAWS}::test_11_no_wait_is_begun_that_ends_past_the_deadline", MACHINE),
    12: (f"{LAWS}::test_12_a_call_ends_by_its_deadline", MACHINE),
    13: ("manager/test_more_laws::test_13_a_later_hint_never_shortens_a_rest_until_a_success",),
    14: (f"{LAWS}::test_14_a_jumping_wall_clock_changes_nothing",),
    15: (
        f"{LEAF}::test_15_a_limit_fires_only_where_its_silence_was",
        f"{LEAF}::test_15_what_shows_nothing_does_not_push_the_first_token_back",
        f"{LEAF}::test_15_silence_inside_an_answer_interrupts_it_with_what_came",
    ),
    16: (f"{BUDGET}::test_16_tokens_stay_within_bounds_at_any_times", f"{BUDGET}::BudgetMachine", MACHINE),
    17: (
        f"{BUDGET}::test_17_a_storm_pays_for_no_more_than_eleven_attempts_and_one_in_five_seconds",
        f"{BUDGET}::test_17_a_storm_of_calls_is_amplified_by_the_budget_only",
    ),
    18: (f"{BUDGET}::test_18_without_failures_nothing_is_refused", MACHINE),
    19: (
        f"{BUDGET}::BudgetMachine",
        f"{BUDGET}::test_19_a_retry_that_was_never_sent_costs_nothing",
        "manager/test_machine::test_19_what_was_paid_and_never_sent_is_given_back",
        MACHINE,
    ),
    20: (
        "manager/test_plan::test_20_an_empty_purse_ends_what_must_be_paid_with_the_first_error",
        "manager/test_policies::test_an_empty_budget_leaves_the_first_error_as_it_is",
        MACHINE,
    ),
    21: (BREAKER, MACHINE),
    22: (BREAKER, MACHINE),
    23: (BREAKER, "manager/test_breaker::test_23_what_says_nothing_of_health_changes_nothing", MACHINE),
    24: (BREAKER, "manager/test_breaker::test_24_too_few_calls_and_too_short_a_row_never_open"),
    25: (
        "manager/test_breaker::test_25_a_provider_that_recovers_is_used_again",
        "manager/test_policies::test_an_outage_of_a_minute_costs_at_most_four_attempts_and_is_over_when_it_is_over",
    ),
    26: (BREAKER, MACHINE),
    27: (BREAKER, "manager/test_breaker::test_27_openings_grow_up_to_the_cap"),
    28: (
        f"{ORDER}::test_28_round_robin_gives_each_candidate_its_turn",
        f"{ORDER}::test_28_round_robin_under_concurrency",
        f"{ORDER}::test_28_calls_for_some_are_fair_and_disturb_nobody",
        RINGS,
        MACHINE,
    ),
    29: (
        f"{ORDER}::test_29_weighted_frequencies_pass_a_chi_square",
        f"{ORDER}::test_29_weight_0_is_the_last_resort_of_all_tiers",
        f"{ORDER}::test_29_the_next_ones_are_drawn_again_without_replacement",
    ),
    30: (
        f"{LAWS}::test_30_a_lower_candidate_is_asked_only_after_the_higher_failed",
        f"{ORDER}::test_30_a_lower_tier_comes_after_every_higher_one",
        MACHINE,
    ),
    31: (
        f"{ORDER}::test_31_least_busy_never_prefers_the_busier",
        f"{ORDER}::test_31_the_load_is_asked_anew_for_the_next",
    ),
    32: (f"{ORDER}::test_32_cost_takes_the_cheapest_and_the_unknown_last",),
    33: (
        f"{LAWS}::test_33_a_candidate_that_was_left_is_not_asked_again",
        f"{ORDER}::test_33_every_strategy_names_each_candidate_once",
        MACHINE,
    ),
    34: (
        f"{LAWS}::test_34_and_48_nothing_stays_in_flight_and_stats_add_up",
        f"{LAWS}::test_34_and_48_hold_at_every_moment_of_a_crowd",
        "manager/test_entrance::test_34_nothing_leaks_and_the_limit_holds",
        "manager/test_limiter::LimiterMachine",
        MACHINE,
    ),
    35: (
        f"{LEAF}::test_35_the_same_bytes_in_any_pieces_are_the_same_events",
        "wire/test_framing::test_any_split_gives_the_same_events",
        "wire/test_framing::test_json_lines_split_anywhere",
        "wire/test_native_laws::test_a_good_stream_split_anywhere_is_the_same",
        "wire/test_native_laws::test_vendor_like_streams_split_anywhere_are_the_same",
        "wire/test_anthropic_decode::test_any_split_gives_the_same",
        "wire/test_gemini_stream::test_any_split_gives_the_same",
        "wire/test_responses_decode::test_property_any_split_gives_the_same",
    ),
    36: (
        "test_provider::test_folding_the_events_of_a_response_gives_it_back",
        "test_provider::test_arguments_are_concatenated_per_call_in_order_of_appearance",
        "wire/test_openai_laws::test_a_stream_folds_to_the_whole",
        "wire/test_anthropic_decode::test_a_stream_folds_to_the_whole",
        "wire/test_gemini_stream::test_a_stream_says_what_the_whole_answer_says",
        "wire/test_responses_decode::test_property_streams_fold_to_the_whole",
        f"{STREAMS}::test_36_to_38_one_provider_after_the_first_delta_and_one_end",
    ),
    37: (
        f"{STREAMS}::test_36_to_38_one_provider_after_the_first_delta_and_one_end",
        f"{STREAMS}::test_37_an_interruption_says_who_and_what_came",
        "manager/test_mid_stream::test_whatever_breaks_the_reader_has_each_word_once_or_an_error",
    ),
    38: (
        f"{STREAMS}::test_36_to_38_one_provider_after_the_first_delta_and_one_end",
        "wire/test_anthropic_decode::test_any_stream_ends_in_one_way",
        "wire/test_read::test_a_count_is_whole_and_not_negative_or_it_is_unknown",
        "faults/test_42_bodies::test_44_odd_usage_is_unknown_and_never_costs_less_than_nothing",
    ),
    39: (
        f"{LEAF}::test_39_cut_at_any_byte_it_never_pretends_to_be_whole",
        "wire/test_openai_laws::test_a_truncated_stream_never_says_stop",
        "wire/test_native_laws::test_a_stream_cut_anywhere_never_stops_well",
        "wire/test_gemini_stream::test_a_cut_stream_never_stops",
    ),
    40: (
        f"{STREAMS}::test_40_leaving_a_stream_anywhere_frees_its_slot",
        "providers/test_real_sockets::test_40_left_at_any_event_the_next_call_succeeds",
    ),
    41: (
        "manager/test_more_laws::test_41_what_is_held_back_before_the_commit_is_bounded",
        "wire/test_framing::test_an_event_without_end_is_refused",
        "wire/test_framing::test_bytes_that_are_neither_events_nor_json_are_bounded",
    ),
    42: (
        f"{STREAMS}::test_42_cancelling_at_any_point_leaves_nothing_behind",
        "providers/test_cancellation::test_42_cancelled_at_every_wait",
        MACHINE,
    ),
    43: (
        f"{STREAMS}::test_43_cancelling_one_call_does_not_touch_another",
        "providers/test_real_sockets::test_43_cancelling_one_call_leaves_the_others_alone",
        MACHINE,
    ),
    44: (
        f"{STREAMS}::test_44_our_limit_is_a_timeout_and_the_outer_one_a_cancellation",
        "providers/test_leaf::test_44_an_outer_cancellation_wins_over_a_timeout_at_the_same_instant",
    ),
    45: (
        "wire/test_openai_laws::test_what_is_sent_back_is_what_came",
        "wire/test_anthropic_encode::test_what_is_said_comes_through",
        "wire/test_gemini_round_trip::test_what_the_model_said",
        "wire/test_gemini_round_trip::test_what_the_user_said",
        "wire/test_gemini_round_trip::test_what_the_tools_said",
        "wire/test_responses_decode::test_property_what_was_said_goes_back_and_comes_again",
        "wire/test_native_laws::test_ollamas_answers_go_there_and_back",
        "wire/test_native_laws::test_coheres_answers_go_there_and_back",
    ),
    46: (
        "wire/test_openai_laws::test_odd_json_never_crashes",
        "wire/test_anthropic_decode::test_any_body_is_an_answer_or_a_provider_error",
        "wire/test_gemini_stream::test_no_bytes_crash_anything",
        "wire/test_responses_decode::test_property_odd_items_never_crash",
        "wire/test_native_laws::test_answers_give_a_value_or_one_of_our_errors",
        "faults/test_46_answers::test_48_in_every_dialect",
    ),
    47: (
        "wire/test_classify::test_classification_is_total",
        "wire/test_anthropic_errors::test_classification_is_total",
        "wire/test_responses_errors::test_property_any_error_is_classified",
        "wire/test_native_laws::test_every_status_and_body_is_one_error",
        "providers/test_keys::test_no_error_shows_any_key_or_secret_header_of_its_provider",
        "test_canary::test_every_fault_of_every_dialect",
    ),
    48: (
        f"{LAWS}::test_34_and_48_nothing_stays_in_flight_and_stats_add_up",
        f"{LAWS}::test_34_and_48_hold_at_every_moment_of_a_crowd",
        MACHINE,
    ),
    49: ("manager/test_more_laws::test_49_what_one_manager_does_does_not_touch_another",),
    50: (
        "test_loader::test_what_is_dumped_loads_as_the_same",
        "test_loader::test_dump_writes_variables_and_never_their_values",
        "test_loader::test_dump_refuses_a_secret_in_clear",
    ),
}  # fmt: skip


def names_of(path: Path) -> set[str]:
    """What is defined at the top of a test file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    }


def run_for(name: str) -> str:
    """What pytest is to be asked for: a machine runs as its TestCase."""
    file, _, test = name.partition("::")
    return f"tests/{file}.py::{f'Test{test}' if test.endswith('Machine') else test}"


def node_ids() -> list[str]:
    """Every test of the table, once; for `make test-long`."""
    return sorted({run_for(name) for names in INVARIANTS.values() for name in names})


def test_every_invariant_has_its_tests() -> None:
    assert sorted(INVARIANTS) == list(range(1, 51))
    assert all(INVARIANTS.values())


@pytest.mark.parametrize("number", sorted(INVARIANTS))
def test_each_named_test_exists(number: int) -> None:
    for name in INVARIANTS[number]:
        file, _, test = name.partition("::")
        assert test in names_of(TESTS / f"{file}.py"), name


def test_what_bears_an_invariants_number_in_the_laws_is_in_the_table() -> None:
    """Nobody writes a law that the long run does not know."""
    named = {name.partition("::")[2] for names in INVARIANTS.values() for name in names}
    for file in (LAWS, STREAMS, "manager/test_more_laws"):
        numbered = {
            test for test in names_of(TESTS / f"{file}.py") if test.startswith("test_") and test[5].isdigit()
        }
        assert numbered <= named, numbered - named


if __name__ == "__main__":
    print("\n".join(node_ids()))
