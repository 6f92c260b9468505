//! The suite that defines what a store is. Each case is an async function over a [`Backend`]; [`conformance!`] makes a
//! test of each.
//!
//! [`conformance!`]: crate::conformance!

pub mod accept;
pub mod admin;
pub mod attempt;
pub mod cancel;
pub mod chain;
pub mod claim;
pub mod conversation;
pub mod delivery;
pub mod differential;
pub mod follow_up;
pub mod list;
pub mod log;
pub mod observer;
pub mod reopen;
pub mod retention;
mod world;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Limits, Observer, Store};

/// A place where a store can be opened, empty at first.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Opens the store.
    async fn open(&self, limits: Limits, observer: Arc<dyn Observer>) -> Arc<dyn Store>;

    /// Whether what was stored is there again when the store is closed and opened once more.
    fn is_durable(&self) -> bool;
}

/// Makes a test of each case of the suite. The expression gives a new [`Backend`](crate::conformance::Backend).
#[macro_export]
macro_rules! conformance {
    ($backend:expr) => {
        $crate::conformance! { @cases $backend;
            accept {
                a_job_is_accepted_as_it_was_asked_for,
                the_same_request_under_the_same_key_gives_the_same_job,
                another_request_under_the_same_key_is_told,
                two_of_one_batch_under_the_same_key_give_one_job,
                keys_of_other_tenants_are_other_keys,
                a_key_is_forgotten_after_its_window_and_not_before,
                a_key_is_forgotten_with_its_job,
                a_key_outlives_the_end_of_its_job,
                a_tenant_may_have_so_many_jobs_waiting,
                the_server_may_have_so_many_jobs_waiting,
                so_many_keys_are_remembered,
                ids_grow_even_when_the_clock_steps_back,
            }
            claim {
                urgent_jobs_come_first_and_a_lower_priority_gets_its_share,
                urgency_counts_across_queues_and_lanes,
                tenants_take_turns,
                only_wanted_kinds_are_given_and_no_more_than_wanted,
                no_more_are_given_than_wanted_in_all,
                a_closed_lane_is_not_given_and_holds_up_no_other,
                a_paused_queue_gives_nothing_until_it_is_resumed,
                a_job_is_not_given_before_its_time,
                a_clock_that_steps_back_delays_a_job_but_loses_none,
                a_claim_gives_input_and_lease,
                a_job_past_its_deadline_expires_when_claimed,
                place_and_queues_tell_what_waits,
                a_job_is_given_to_one_worker_only,
            }
            chain {
                those_of_a_key_run_one_after_the_other,
                a_key_is_held_until_the_job_has_ended,
                what_ends_out_of_turn_breaks_no_chain,
                a_time_and_a_turn_are_both_waited_for,
                the_place_of_a_chained_job_counts_its_chain,
                the_end_of_a_turn_is_told,
                chains_are_there_again_after_a_restart,
            }
            follow_up {
                follow_ups_are_accepted_with_the_completion,
                nothing_is_followed_up_unless_the_job_completes,
                a_follow_up_with_a_key_is_accepted_once,
                follow_ups_over_quota_are_dropped_aloud,
                so_many_follow_ups_are_taken,
                a_follow_up_may_share_its_parents_key,
                follow_ups_are_there_again_after_a_restart,
            }
            conversation {
                a_turn_is_stored_with_its_job,
                a_turn_may_begin_its_conversation,
                a_repeated_turn_is_stored_once,
                a_turn_of_an_unknown_or_foreign_conversation_is_refused,
                conversations_have_limits,
                turns_of_a_conversation_come_one_after_the_other,
                an_answer_is_settled_with_the_end_of_its_job,
                a_stale_attempt_settles_no_answer,
                a_deleted_conversation_stays_deleted,
                messages_outlive_their_jobs,
                a_summary_is_kept_once,
                messages_are_read_page_by_page,
                a_page_of_messages_is_bounded,
                conversations_are_listed_page_by_page,
                conversations_are_there_again_after_a_restart,
            }
            attempt {
                a_stale_token_changes_nothing,
                a_guessed_id_changes_nothing,
                a_heartbeat_keeps_the_lease_and_never_shortens_it,
                a_lapsed_lease_gives_the_job_back,
                the_third_lost_lease_quarantines,
                the_leases_of_a_dead_worker_lapse_at_once,
                a_failed_attempt_is_tried_again_after_its_backoff,
                an_attempt_that_cannot_succeed_is_not_tried_again,
                retry_after_is_respected,
                a_postponed_job_comes_back_at_no_cost,
                a_released_attempt_costs_nothing,
                progress_never_falls_within_an_attempt,
                a_repeated_append_adds_nothing_twice,
                steps_are_given_to_later_attempts,
                so_many_steps_are_recorded,
                an_ended_job_stays_as_it_is,
            }
            cancel {
                a_waiting_job_ends_at_once,
                a_scheduled_job_ends_at_once,
                a_job_between_attempts_ends_at_once,
                a_running_job_is_asked_to_stop,
                a_result_that_came_all_the_same_is_kept,
                an_ended_job_says_how_it_ended,
                another_tenants_job_is_unknown,
            }
            log {
                a_log_has_no_gaps_and_one_end,
                a_full_log_takes_no_more_and_still_has_its_end,
                a_log_is_read_page_by_page,
                a_page_is_about_a_mebibyte_at_most,
                the_result_is_the_text_that_was_given,
                another_tenants_log_is_hidden,
            }
            list {
                newest_come_first_page_by_page,
                filters_narrow_it,
                what_is_far_back_is_found_by_the_cursor,
                labels_of_any_text_are_found,
                a_job_whose_time_has_come_is_listed_as_queued,
                outcomes_are_left_out_and_progress_is_not,
            }
            retention {
                an_ended_job_is_forgotten_when_its_retention_ends,
                a_sweep_does_no_more_than_it_may,
                a_deadline_ends_a_waiting_job,
                a_deadline_is_not_swept_while_the_job_runs,
                a_deleted_job_is_gone_with_all_that_belongs_to_it,
                a_job_that_has_not_ended_cannot_be_deleted,
            }
            delivery {
                the_end_of_a_job_is_due_with_it,
                every_end_is_told_and_only_to_those_who_want_it,
                a_delivery_is_tried_until_it_is_settled,
                what_is_not_heard_of_is_due_again,
                what_is_never_heard_of_is_given_up,
                what_a_dead_worker_had_taken_is_due_at_once,
                a_settled_delivery_can_be_had_again,
                endpoints_take_turns,
                a_delivery_is_forgotten_with_its_job,
                a_tenant_keeps_its_secret_until_it_is_changed,
                what_was_due_is_due_after_a_restart,
            }
            admin {
                keys_are_kept_found_and_revoked,
                a_closed_store_refuses_everything,
            }
            observer {
                each_event_is_told_once_in_order,
                a_refused_change_is_not_told,
            }
            reopen {
                everything_acknowledged_is_there_again,
                what_waited_waits_again_in_its_order,
                what_ran_runs_on_under_the_same_lease,
                keys_stand_for_the_same_jobs_again,
                ids_go_on_growing,
            }
        }
    };
    (@cases $backend:expr; $($module:ident { $($case:ident),+ $(,)? })+) => {
        $(mod $module {
            use super::*;
            $(#[tokio::test]
            async fn $case() {
                $crate::conformance::$module::$case(&$backend).await;
            })+
        })+
    };
}
