/*
 * The first-party Google connector: Gmail and Calendar. This is its table of
 * operations; inputs are documented in the actions of the same names.
 */
#include "ops.h"

AILERON_OPERATIONS(
    /* reading mail */
    { "list_recent_emails", list_recent_emails }, { "get_email", get_email }, { "list_drafts", list_drafts },
    { "get_draft", get_draft },
    /* writing mail */
    { "draft_email", draft_email }, { "send_email", send_email }, { "send_draft", send_draft },
    /* the calendar */
    { "list_upcoming_events", list_upcoming_events }, { "preview_calendar_event", preview_calendar_event },
    { "create_calendar_event", create_calendar_event })
