/*
 * The operations of SPEC §14, one function each.
 */
#ifndef GOOGLE_OPS_H
#define GOOGLE_OPS_H

#include <aileron.h>

aileron_function list_recent_emails, get_email, list_drafts, get_draft;
aileron_function draft_email, send_email, send_draft;
aileron_function list_upcoming_events, preview_calendar_event, create_calendar_event;

#endif
