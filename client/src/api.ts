/** Written by `npm run openapi`. */
export interface paths {
    "/auth/register": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Create an account
         * @description The user is mailed a link that verifies the e-mail address. This operation refuses `Idempotency-Key` (400): keys belong to a user, and no user exists yet.
         */
        post: operations["authRegister"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Log in
         * @description Send `login`, an e-mail address or a user name, or `email`; white space around it does not count. Failed logins are counted for the client's address together with the name and with the account. After too many failures, that name gets 429 until the window ends, and every other name of the account gets the answer of a wrong password.
         */
        post: operations["authLogin"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/refresh": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Get new tokens
         * @description A refresh token works once. It comes in the body or, in cookie mode, in its cookie. A used token that comes again ends its session, because it was stolen. (A client that lost the response may repeat the request until it uses the new token, and for 10 seconds longer.) The cookie is accepted from pages of the API's own origin and of the origins in `CORS_ORIGINS`; from others the answer is 403.
         */
        post: operations["authRefresh"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Log out
         * @description Ends the session of this access token on every node at once.
         */
        post: operations["authLogout"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/logout-all": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Log out everywhere
         * @description Ends all sessions of the user. Personal access tokens stay valid.
         */
        post: operations["authLogoutAll"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read your own account */
        get: operations["authMe"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** List your sessions */
        get: operations["authListSessions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/sessions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** End one of your sessions */
        delete: operations["authEndSession"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/verify-email": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Verify an e-mail address
         * @description Takes the token of the mailed link.
         */
        post: operations["authVerifyEmail"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/verify-email/resend": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Mail the verification link again
         * @description Nothing happens for a verified address, within a minute of the last mail, or after 10 mails in a day. The response has no body.
         */
        post: operations["authResendVerification"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/password/forgot": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Ask for a password reset
         * @description Mails a link to the account with this address, if there is one. Nothing is mailed within a minute of the last mail or after 10 mails in a day. The answer is always the same. The response has no body.
         */
        post: operations["authForgotPassword"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/password/reset": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Reset the password
         * @description Takes the token of the mailed link. All sessions and personal access tokens end.
         */
        post: operations["authResetPassword"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/password/change": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Change your password
         * @description Your other sessions and your personal access tokens end.
         */
        post: operations["authChangePassword"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List your personal access tokens
         * @description Without their text.
         */
        get: operations["authListTokens"];
        put?: never;
        /**
         * Create a personal access token
         * @description For programs. The answer shows its text, and no later answer does. With `project_ids` the token reaches these projects, their members, tasks, comments and events, and nothing else: no personal tasks, no categories, no other people. This operation refuses `Idempotency-Key` (400): the token is shown once and not stored, so the response cannot be repeated.
         */
        post: operations["authCreateToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/auth/tokens/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /** Revoke a personal access token */
        delete: operations["authRevokeToken"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Find people
         * @description By a part of their user name or full name; admins also by e-mail address. People whose user name begins with it come first.
         */
        get: operations["usersList"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/users/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read a user
         * @description The owner of the account and admins get the whole account, others get the person.
         */
        get: operations["usersGet"];
        put?: never;
        post?: never;
        /**
         * Erase an account
         * @description The account is deactivated and its personal data erased. Its tasks stay, assigned to nobody. What needs a service that is away follows within seconds of its return. 409 for the only owner of a project with other members: make another member owner first.
         */
        delete: operations["usersDelete"];
        options?: never;
        head?: never;
        /**
         * Change an account
         * @description Users change their own account, admins any account; only admins set `role` and `is_active`. A new e-mail address is not verified: the user is mailed a link, at most 10 in a day, and the request also costs the stricter budget of the auth routes. A new role ends the user's sessions.
         */
        patch: operations["usersPatch"];
        trace?: never;
    };
    "/projects": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List your projects
         * @description `q` finds a project by a part of its name, or by its slug. `include_deleted` adds the deleted projects that you may restore.
         */
        get: operations["projectsList"];
        put?: never;
        /**
         * Create a project
         * @description You become its owner. Without a `slug` it gets one made from its name.
         */
        post: operations["projectsCreate"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/projects/{project}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a project */
        get: operations["projectsGet"];
        /**
         * Replace a project
         * @description A field that you leave out goes back to its default: no description, status `active`. The slug stays unless you send one.
         */
        put: operations["projectsReplace"];
        post?: never;
        /**
         * Delete a project
         * @description Only owners may. Nobody sees the project or its tasks after that, and its owners can restore it until it is purged.
         */
        delete: operations["projectsDelete"];
        options?: never;
        head?: never;
        /**
         * Change a project
         * @description A field that you leave out stays. `status: archived` stops all writes in the project until its status is `active` again.
         */
        patch: operations["projectsPatch"];
        trace?: never;
    };
    "/projects/{project}/restore": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Restore a deleted project
         * @description Only owners may. 404 for a project that is not deleted. If another project has taken its slug, this one comes back as `slug-2` or the next free slug; the answer and the event's `changes` show it. A slug that several of your deleted projects have is ambiguous (409): use the id.
         */
        post: operations["projectsRestore"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/projects/{project}/members": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List a project's members
         * @description The longest membership comes first by default.
         */
        get: operations["projectsListMembers"];
        put?: never;
        /**
         * Add a member
         * @description You can't give a role above your own.
         */
        post: operations["projectsAddMember"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/projects/{project}/members/{user_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a member */
        get: operations["projectsGetMember"];
        put?: never;
        post?: never;
        /**
         * Remove a member, or leave
         * @description The project keeps an owner.
         */
        delete: operations["projectsRemoveMember"];
        options?: never;
        head?: never;
        /**
         * Change a member's role
         * @description Neither the old nor the new role may be above your own. The project keeps an owner.
         */
        patch: operations["projectsUpdateMember"];
        trace?: never;
    };
    "/projects/{project}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read a project's log
         * @description The events after the cursor `after`, as the stream `project:<id>` carries them: the activity feed, and the replay for a client that was away. A page of very long events holds fewer than `limit`: read on until the last item's `seq` is `head`. Old events are forgotten. After a number alone the page begins with the first event that is kept: when its `seq` is more than `after + 1`, fetch the state. After a cursor with an id, which the log does not have any more, the answer is 409.
         */
        get: operations["projectsListEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/projects/{project}/events/stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Follow a project's events
         * @description The events of the stream `project:<id>`, as they happen. The response does not end by itself: its `id:` is a cursor, its `event:` the type, its `data:` the event as JSON. Without a cursor the first frame has an `id:` alone, the present position. A frame `reset` says that the log does not go on from your cursor: fetch the state. A comment comes every 15 seconds. When you may not read the stream any more, or your token ends, the response ends, and the next request says why. A user may have 20 such responses open.
         */
        get: operations["projectsStreamEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/projects/{project}/snapshot": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read the state of a project
         * @description All of one moment, one JSON object a line: first `head`, the position in the project's stream, then each member, task and comment, in no order, and at last `end`. The events after `head.seq` are exactly what the snapshot does not show. Members are as events show them, without names. A response without `end` was cut: drop it and ask again. Each part has to be read within 30 seconds, and all of it within 10 minutes. A user can read 2 snapshots at once.
         */
        get: operations["tasksSnapshot"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/projects/{project}/tasks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List a project's tasks
         * @description Takes the filters and sorts of `GET /tasks`; newest first by default.
         */
        get: operations["tasksListInProject"];
        put?: never;
        /** Create a task in a project */
        post: operations["tasksCreateInProject"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read your own log
         * @description The events after the cursor `after`, as your stream `user:<id>` carries them: personal tasks, assignments to you, memberships that you gain and lose. A page of very long events holds fewer than `limit`: read on until the last item's `seq` is `head`. Old events are forgotten. After a number alone the page begins with the first event that is kept: when its `seq` is more than `after + 1`, fetch the state. After a cursor with an id, which the log does not have any more, the answer is 409.
         */
        get: operations["notifierListEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/events/stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Follow your own events
         * @description The events of your stream `user:<id>`, as they happen. The response does not end by itself: its `id:` is a cursor, its `event:` the type, its `data:` the event as JSON. Without a cursor the first frame has an `id:` alone, the present position. A frame `reset` says that the log does not go on from your cursor: fetch the state. A comment comes every 15 seconds. When you may not read the stream any more, or your token ends, the response ends, and the next request says why. A user may have 20 such responses open.
         */
        get: operations["notifierStreamEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/sync": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Read what happened in all your streams
         * @description What comes after your cursors, in every stream that you may read: your own, and those of your projects. Without a socket, a client keeps `cursors` and sends them again. With `wait` the response comes with the first event, or after so many seconds. It changes nothing, so it can be sent again. This operation refuses `Idempotency-Key` (400): it changes nothing, so it can be sent again without one.
         */
        post: operations["notifierSync"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/tasks": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List the tasks that you may see
         * @description Personal tasks and those of your projects, newest first by default. `q` searches titles and descriptions as web search engines do: `deploy -staging`, `"exact words"`, `this or that`. A word finds its English inflections and, from two characters on, the words that begin with it. A link or a path is found by its parts in a row, Chinese and Japanese text by any part of it. Words such as `the` count only in a search that has no others. The default sort of a search is `-rank`; a list that is sorted by rank holds the newest 10,000 of what matches. `include_deleted` adds deleted tasks that you created or whose project you manage. `archived=false` leaves out the tasks of archived projects, `archived=true` all others. Tasks without a due date sort after those with one.
         */
        get: operations["tasksList"];
        put?: never;
        /**
         * Create a task
         * @description A task without `project_id` is personal: you and its assignee see it. It may start as `pending` or in any status that `pending` reaches in one step.
         */
        post: operations["tasksCreate"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/tasks/bulk": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Carry out many operations, or none
         * @description Each operation stands for a request: `create` (POST /tasks), `update` (PATCH), `transition`, `assign`, `delete`. It is judged on the tasks as the operations before it leave them. If one can't be carried out, none is, and the problem's `results` say which and why.
         */
        post: operations["tasksBulk"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/tasks/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a task */
        get: operations["tasksGet"];
        /**
         * Replace a task
         * @description A field that you leave out goes back to its default: `description` null, `status` `pending`, `priority` `medium`, `category_id` null, `assigned_to` null, `due_date` null. 409 if the task can't move to the status.
         */
        put: operations["tasksReplace"];
        post?: never;
        /**
         * Delete a task
         * @description For the project's managers and owners, or the creator of a personal task. A deleted task can be restored until it is purged, by default 30 days later.
         */
        delete: operations["tasksDelete"];
        options?: never;
        head?: never;
        /**
         * Change a task
         * @description A field that you leave out stays as it is. A request that changes nothing leaves the version as it is, too.
         */
        patch: operations["tasksPatch"];
        trace?: never;
    };
    "/tasks/{id}/restore": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Restore a deleted task
         * @description Takes the rights that deleting it takes. 404 for a task that is not deleted.
         */
        post: operations["tasksRestore"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/tasks/{id}/assign": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Assign a task
         * @description The assignee is an active user who can see the task's project, or who shares a project with the creator of a personal task; `null` unassigns the task. For the project's managers and owners, or the creator of a personal task; the assignee may give the task back (`null`) in any role.
         */
        post: operations["tasksAssign"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/tasks/{id}/transitions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Move a task to another status
         * @description `pending` → `in_progress`, `completed`, `cancelled`; `in_progress` → `pending`, `completed`, `cancelled`; `completed` → `in_progress`, `archived`; `cancelled` → `pending`, `archived`. Strict: the present status is refused, too, so that of many callers who claim a task one succeeds.
         */
        post: operations["tasksTransition"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/tasks/{id}/move": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Move a task on its board
         * @description All tasks of a project are in one order, that of `position`, and so are the personal tasks of each creator; a column of a board is a status in that order. The task goes directly `before` or `after` another task of the column, or without both to the column's end. `status` names the column, by default the task's own; another one needs a transition that the task may take. The server makes the position: of any number of clients that move tasks to one place each succeeds. 409 `neighbour-moved` if the other task has left the column or was deleted.
         */
        post: operations["tasksMove"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/tasks/{id}/redact": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Take a task's texts out of the log
         * @description For a pasted secret: title and description are removed for good. The task is then titled `[redacted]`, without a description, and in all events of the task these texts are null, `changes` included. Nothing else ever changes the log. Comments stay; each is redacted by itself. A deleted task can be redacted, too. Clients that have read the texts keep them, and so do backups. For the project's managers and owners, or the creator of a personal task.
         */
        post: operations["tasksRedact"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/tasks/{id}/comments": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List a task's comments
         * @description Oldest first by default.
         */
        get: operations["tasksListComments"];
        put?: never;
        /** Comment on a task */
        post: operations["tasksCreateComment"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/tasks/{id}/comments/{comment_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a comment */
        get: operations["tasksGetComment"];
        put?: never;
        post?: never;
        /**
         * Delete a comment
         * @description For its author, and for the project's managers and owners.
         */
        delete: operations["tasksDeleteComment"];
        options?: never;
        head?: never;
        /** Edit your comment */
        patch: operations["tasksPatchComment"];
        trace?: never;
    };
    "/tasks/{id}/comments/{comment_id}/redact": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Take a comment's text out of the log
         * @description Works as for a task: the comment then says `[redacted]`, and in the log its text is null. A deleted comment can be redacted, too: the log still has its text. For the project's managers and owners, or the creator of a personal task.
         */
        post: operations["tasksRedactComment"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/categories": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List your categories
         * @description Sorted by name by default.
         */
        get: operations["tasksListCategories"];
        put?: never;
        /**
         * Create a category
         * @description A category is a label of your own. Its name is unique among your categories, whatever the case of its letters.
         */
        post: operations["tasksCreateCategory"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/categories/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Read a category */
        get: operations["tasksGetCategory"];
        put?: never;
        post?: never;
        /**
         * Delete a category
         * @description Its tasks stay, with `category_id: null`. If they are very many, the last ones change within minutes.
         */
        delete: operations["tasksDeleteCategory"];
        options?: never;
        head?: never;
        /** Change a category */
        patch: operations["tasksPatchCategory"];
        trace?: never;
    };
    "/live": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether the process answers
         * @description 200 as long as the process lives, whatever it depends on.
         */
        get: operations["live"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/ready": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether the node can serve
         * @description 200 while Postgres and NATS answer and each service that the gateway needs has a node.
         */
        get: operations["ready"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/health": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The state of the node and of what it depends on
         * @description Answers within a second, whatever hangs. An answer may be 250 ms old.
         */
        get: operations["health"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Metrics for Prometheus
         * @description In production a gateway without `METRICS_TOKEN` has no metrics at its public port (404).
         */
        get: operations["metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * Task
         * @example {
         *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *       "title": "Write Note G",
         *       "description": "How the engine computes Bernoulli numbers.",
         *       "status": "pending",
         *       "priority": "high",
         *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "due_date": "2026-12-01T17:00:00.000Z",
         *       "completed_at": null,
         *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *       "version": 1,
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "updated_at": "2026-11-21T09:30:00.000Z"
         *     }
         */
        Task: {
            /**
             * Format: uuid
             * @example 0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d
             */
            id: string;
            /** @example Write Note G */
            title: string;
            /** @example How the engine computes Bernoulli numbers. */
            description: string | null;
            /**
             * @example pending
             * @enum {string}
             */
            status: "pending" | "in_progress" | "completed" | "cancelled" | "archived";
            /**
             * @example high
             * @enum {string}
             */
            priority: "low" | "medium" | "high" | "urgent";
            /**
             * Format: uuid
             * @description Null for a personal task.
             * @example 0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21
             */
            project_id: string | null;
            /**
             * Format: uuid
             * @example 0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e
             */
            category_id: string | null;
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            created_by: string;
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            assigned_to: string | null;
            /**
             * Format: date-time
             * @example 2026-12-01T17:00:00.000Z
             */
            due_date: string | null;
            /**
             * Format: date-time
             * @description Follows `status`.
             * @example null
             */
            completed_at: string | null;
            /**
             * @description The task's place in the order of its project, or of its creator's personal tasks: compared by its bytes.
             * @example 0193a5c61f8b7ab29d4e8c7b6a5f4e3d
             */
            position: string;
            /**
             * @description Counts the changes; the `ETag` is made of it.
             * @example 1
             */
            version: number;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            updated_at: string;
            /**
             * Format: date-time
             * @description Only in a deleted task.
             */
            deleted_at?: string;
        };
        /**
         * Resource
         * @description On a 404, the missing resource; on a nested path, the first missing part. Absent when no resource has the path.
         * @example {
         *       "type": "task",
         *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d"
         *     }
         */
        Resource: {
            /**
             * @description The kind of resource that is missing.
             * @example task
             * @enum {string}
             */
            type: "user" | "session" | "token" | "project" | "member" | "task" | "comment" | "category" | "stream";
            /**
             * @description The resource as the request named it: a project also by its slug, a member by the user's id.
             * @example 0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d
             */
            id: string;
        };
        /**
         * FieldError
         * @example {
         *       "pointer": "#/title",
         *       "code": "required",
         *       "message": "The 'title' field is required."
         *     }
         */
        FieldError: {
            /**
             * @description The invalid field: a JSON Pointer into the body, or `?name` for a query parameter.
             * @example #/title
             */
            pointer: string;
            /**
             * @description What is wrong, for programs.
             * @example required
             */
            code: string;
            /**
             * @description What is wrong, for people.
             * @example The 'title' field is required.
             */
            message: string;
        };
        /**
         * Problem
         * @example {
         *       "type": "/problems/not-found",
         *       "title": "Not found",
         *       "status": 404,
         *       "detail": "There is no task 0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *       "instance": "/api/v1/tasks/0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "resource": {
         *         "type": "task",
         *         "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d"
         *       }
         *     }
         */
        Problem: {
            /**
             * Format: uri-reference
             * @description The kind of problem, for programs; the server has a page at this path that explains it.
             * @example /problems/not-found
             */
            type: string;
            /**
             * @description The kind of problem, for people.
             * @example Not found
             */
            title: string;
            /**
             * @description The HTTP status of the response.
             * @example 404
             */
            status: number;
            /**
             * @description What went wrong in this request, for people.
             * @example There is no task 0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d
             */
            detail: string;
            /**
             * Format: uri-reference
             * @description The path of the request.
             * @example /api/v1/tasks/0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d
             */
            instance?: string;
            /**
             * @description `X-Request-ID`: quote it to the operator.
             * @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75
             */
            request_id?: string;
            resource?: components["schemas"]["Resource"];
            /** @description Each invalid field. */
            errors?: components["schemas"]["FieldError"][];
            /** @description The outcome of each operation of a bulk request. */
            results?: components["schemas"]["BulkResult"][];
        };
        /**
         * BulkResult
         * @example {
         *       "op": "create",
         *       "status": 201,
         *       "task": {
         *         "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *         "title": "Write Note G",
         *         "description": "How the engine computes Bernoulli numbers.",
         *         "status": "pending",
         *         "priority": "high",
         *         "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *         "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *         "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "due_date": "2026-12-01T17:00:00.000Z",
         *         "completed_at": null,
         *         "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *         "version": 1,
         *         "created_at": "2026-11-21T09:30:00.000Z",
         *         "updated_at": "2026-11-21T09:30:00.000Z"
         *       }
         *     }
         */
        BulkResult: {
            /**
             * @example create
             * @enum {string}
             */
            op: "create" | "update" | "transition" | "assign" | "delete";
            /**
             * @description The status that the request on its own would have got.
             * @example 201
             */
            status: number;
            task?: components["schemas"]["Task"];
            problem?: components["schemas"]["Problem"];
        };
        /**
         * BulkAnswer
         * @example {
         *       "results": [
         *         {
         *           "op": "create",
         *           "status": 201,
         *           "task": {
         *             "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *             "title": "Write Note G",
         *             "description": "How the engine computes Bernoulli numbers.",
         *             "status": "pending",
         *             "priority": "high",
         *             "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *             "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *             "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *             "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *             "due_date": "2026-12-01T17:00:00.000Z",
         *             "completed_at": null,
         *             "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *             "version": 1,
         *             "created_at": "2026-11-21T09:30:00.000Z",
         *             "updated_at": "2026-11-21T09:30:00.000Z"
         *           }
         *         }
         *       ]
         *     }
         */
        BulkAnswer: {
            /**
             * @example [
             *       {
             *         "op": "create",
             *         "status": 201,
             *         "task": {
             *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
             *           "title": "Write Note G",
             *           "description": "How the engine computes Bernoulli numbers.",
             *           "status": "pending",
             *           "priority": "high",
             *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
             *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
             *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *           "due_date": "2026-12-01T17:00:00.000Z",
             *           "completed_at": null,
             *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
             *           "version": 1,
             *           "created_at": "2026-11-21T09:30:00.000Z",
             *           "updated_at": "2026-11-21T09:30:00.000Z"
             *         }
             *       }
             *     ]
             */
            results: components["schemas"]["BulkResult"][];
        };
        /**
         * AuthRegisterBody
         * @example {
         *       "email": "ada@example.com",
         *       "username": "ada",
         *       "password": "correct horse",
         *       "first_name": "Ada",
         *       "last_name": "Lovelace"
         *     }
         */
        AuthRegisterBody: {
            /** Format: idn-email */
            email: string;
            username: string;
            /** @example correct horse */
            password: string;
            /** @description 1 to 100 characters, without the white space around them; at least one is visible. */
            first_name?: string | null;
            /** @description 1 to 100 characters, without the white space around them; at least one is visible. */
            last_name?: string | null;
        };
        /**
         * User
         * @example {
         *       "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "email": "ada@example.com",
         *       "username": "ada",
         *       "first_name": "Ada",
         *       "last_name": "Lovelace",
         *       "role": "user",
         *       "is_active": true,
         *       "is_verified": true,
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "updated_at": "2026-11-21T09:30:00.000Z"
         *     }
         */
        User: {
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            id: string;
            /**
             * Format: idn-email
             * @example ada@example.com
             */
            email: string;
            /** @example ada */
            username: string;
            /** @example Ada */
            first_name: string | null;
            /** @example Lovelace */
            last_name: string | null;
            /**
             * @description What the user may do outside of their own projects.
             * @example user
             * @enum {string}
             */
            role: "user" | "manager" | "admin";
            /** @example true */
            is_active: boolean;
            /**
             * @description Whether the user has confirmed the address in `email`.
             * @example true
             */
            is_verified: boolean;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            updated_at: string;
        };
        /**
         * AuthLoginBody
         * @example {
         *       "login": "ada",
         *       "password": "correct horse"
         *     }
         */
        AuthLoginBody: {
            /**
             * @description 1 to 254 characters, without the white space around them; at least one is visible.
             * @example ada
             */
            login?: string;
            /** @description 1 to 254 characters, without the white space around them; at least one is visible. */
            email?: string;
            /** @example correct horse */
            password: string;
            /** @description Keep the refresh token in a cookie. */
            cookie?: boolean;
        };
        /**
         * Login
         * @example {
         *       "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiIwMTkzYTVjMCJ9.c2lnbmF0dXJl",
         *       "token_type": "Bearer",
         *       "expires_in": 900,
         *       "refresh_token": "q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA",
         *       "user": {
         *         "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "email": "ada@example.com",
         *         "username": "ada",
         *         "first_name": "Ada",
         *         "last_name": "Lovelace",
         *         "role": "user",
         *         "is_active": true,
         *         "is_verified": true,
         *         "created_at": "2026-11-21T09:30:00.000Z",
         *         "updated_at": "2026-11-21T09:30:00.000Z"
         *       }
         *     }
         */
        Login: {
            /**
             * @description Send it as `Authorization: Bearer …`.
             * @example eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiIwMTkzYTVjMCJ9.c2lnbmF0dXJl
             */
            access_token: string;
            /**
             * @example Bearer
             * @constant
             */
            token_type: "Bearer";
            /**
             * @description Seconds that the access token works.
             * @example 900
             */
            expires_in: number;
            /**
             * @description Works once. In cookie mode only the cookie has it.
             * @example q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA
             */
            refresh_token?: string;
            user: components["schemas"]["User"];
        };
        /**
         * AuthRefreshBody
         * @example {
         *       "refresh_token": "q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA"
         *     }
         */
        AuthRefreshBody: {
            /** @example q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA */
            refresh_token?: string;
            /** @description Keep the refresh token in a cookie. */
            cookie?: boolean;
        };
        /**
         * Session
         * @example {
         *       "id": "0193a5c1-0b1a-7f42-8c6d-5a9e7b3c1d20",
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "last_used_at": "2026-11-21T10:05:12.345Z",
         *       "user_agent": "Mozilla/5.0",
         *       "address": "203.0.113.7",
         *       "current": true
         *     }
         */
        Session: {
            /**
             * Format: uuid
             * @example 0193a5c1-0b1a-7f42-8c6d-5a9e7b3c1d20
             */
            id: string;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2026-11-21T10:05:12.345Z
             */
            last_used_at: string;
            /** @example Mozilla/5.0 */
            user_agent: string | null;
            /** @example 203.0.113.7 */
            address: string | null;
            /**
             * @description Whether the request came from this session.
             * @example true
             */
            current: boolean;
        };
        /**
         * SessionPage
         * @example {
         *       "items": [
         *         {
         *           "id": "0193a5c1-0b1a-7f42-8c6d-5a9e7b3c1d20",
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "last_used_at": "2026-11-21T10:05:12.345Z",
         *           "user_agent": "Mozilla/5.0",
         *           "address": "203.0.113.7",
         *           "current": true
         *         }
         *       ],
         *       "limit": 20,
         *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
         *       "offset": 0,
         *       "total": 1,
         *       "total_capped": true
         *     }
         */
        SessionPage: {
            /**
             * @example [
             *       {
             *         "id": "0193a5c1-0b1a-7f42-8c6d-5a9e7b3c1d20",
             *         "created_at": "2026-11-21T09:30:00.000Z",
             *         "last_used_at": "2026-11-21T10:05:12.345Z",
             *         "user_agent": "Mozilla/5.0",
             *         "address": "203.0.113.7",
             *         "current": true
             *       }
             *     ]
             */
            items: components["schemas"]["Session"][];
            /**
             * @description The maximum number of items on a page.
             * @example 20
             */
            limit: number;
            /**
             * @description Where the next page begins: send it as `cursor`. Null at the end.
             * @example eyJrIjpbIjAxOTNhIl19.c2ln
             */
            next_cursor: string | null;
            /**
             * @description The number of skipped items; absent when the page was requested by cursor.
             * @example 0
             */
            offset?: number;
            /**
             * @description The total number of items, counted up to 10000; absent when the page was requested by cursor.
             * @example 1
             */
            total?: number;
            /**
             * @description Present when there are more items than `total`.
             * @example true
             * @constant
             */
            total_capped?: true;
        };
        /**
         * AuthVerifyEmailBody
         * @example {
         *       "token": "q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA"
         *     }
         */
        AuthVerifyEmailBody: {
            /** @example q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA */
            token: string;
        };
        /**
         * AuthForgotPasswordBody
         * @example {
         *       "email": "ada@example.com"
         *     }
         */
        AuthForgotPasswordBody: {
            /**
             * @description 1 to 254 characters, without the white space around them; at least one is visible.
             * @example ada@example.com
             */
            email: string;
        };
        /**
         * AuthResetPasswordBody
         * @example {
         *       "token": "q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA",
         *       "password": "correct horse"
         *     }
         */
        AuthResetPasswordBody: {
            /** @example q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA */
            token: string;
            /** @example correct horse */
            password: string;
        };
        /**
         * AuthChangePasswordBody
         * @example {
         *       "current_password": "correct horse",
         *       "password": "correct horse"
         *     }
         */
        AuthChangePasswordBody: {
            /** @example correct horse */
            current_password: string;
            /** @example correct horse */
            password: string;
        };
        /**
         * PersonalToken
         * @example {
         *       "id": "0193a5c2-4e6b-7a10-b7f3-2c8d9e0f1a3b",
         *       "name": "nightly import",
         *       "scope": "read",
         *       "project_ids": null,
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "expires_at": "2027-11-21T09:30:00.000Z"
         *     }
         */
        PersonalToken: {
            /**
             * Format: uuid
             * @example 0193a5c2-4e6b-7a10-b7f3-2c8d9e0f1a3b
             */
            id: string;
            /** @example nightly import */
            name: string;
            /**
             * @example read
             * @enum {string}
             */
            scope: "read" | "write";
            /**
             * @description The projects that the token is limited to; null for everything that its owner may do.
             * @example null
             */
            project_ids: string[] | null;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2027-11-21T09:30:00.000Z
             */
            expires_at: string | null;
        };
        /**
         * PersonalTokenPage
         * @example {
         *       "items": [
         *         {
         *           "id": "0193a5c2-4e6b-7a10-b7f3-2c8d9e0f1a3b",
         *           "name": "nightly import",
         *           "scope": "read",
         *           "project_ids": null,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "expires_at": "2027-11-21T09:30:00.000Z"
         *         }
         *       ],
         *       "limit": 20,
         *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
         *       "offset": 0,
         *       "total": 1,
         *       "total_capped": true
         *     }
         */
        PersonalTokenPage: {
            /**
             * @example [
             *       {
             *         "id": "0193a5c2-4e6b-7a10-b7f3-2c8d9e0f1a3b",
             *         "name": "nightly import",
             *         "scope": "read",
             *         "project_ids": null,
             *         "created_at": "2026-11-21T09:30:00.000Z",
             *         "expires_at": "2027-11-21T09:30:00.000Z"
             *       }
             *     ]
             */
            items: components["schemas"]["PersonalToken"][];
            /**
             * @description The maximum number of items on a page.
             * @example 20
             */
            limit: number;
            /**
             * @description Where the next page begins: send it as `cursor`. Null at the end.
             * @example eyJrIjpbIjAxOTNhIl19.c2ln
             */
            next_cursor: string | null;
            /**
             * @description The number of skipped items; absent when the page was requested by cursor.
             * @example 0
             */
            offset?: number;
            /**
             * @description The total number of items, counted up to 10000; absent when the page was requested by cursor.
             * @example 1
             */
            total?: number;
            /**
             * @description Present when there are more items than `total`.
             * @example true
             * @constant
             */
            total_capped?: true;
        };
        /**
         * AuthCreateTokenBody
         * @example {
         *       "name": "nightly import",
         *       "scope": "read",
         *       "project_ids": null,
         *       "expires_at": "2027-11-21T09:30:00.000Z"
         *     }
         */
        AuthCreateTokenBody: {
            /** @description 1 to 100 characters, without the white space around them; at least one is visible. */
            name: string;
            /** @enum {string} */
            scope: "read" | "write";
            project_ids?: string[] | null;
            /** Format: date-time */
            expires_at?: string | null;
        };
        /**
         * NewPersonalToken
         * @example {
         *       "id": "0193a5c2-4e6b-7a10-b7f3-2c8d9e0f1a3b",
         *       "name": "nightly import",
         *       "scope": "read",
         *       "project_ids": null,
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "expires_at": "2027-11-21T09:30:00.000Z",
         *       "token": "twp_q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA"
         *     }
         */
        NewPersonalToken: {
            /**
             * Format: uuid
             * @example 0193a5c2-4e6b-7a10-b7f3-2c8d9e0f1a3b
             */
            id: string;
            /** @example nightly import */
            name: string;
            /**
             * @example read
             * @enum {string}
             */
            scope: "read" | "write";
            /**
             * @description The projects that the token is limited to; null for everything that its owner may do.
             * @example null
             */
            project_ids: string[] | null;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2027-11-21T09:30:00.000Z
             */
            expires_at: string | null;
            /**
             * @description No later answer shows it.
             * @example twp_q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA
             */
            token: string;
        };
        /**
         * FoundPerson
         * @example {
         *       "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "username": "ada",
         *       "first_name": "Ada",
         *       "last_name": "Lovelace"
         *     }
         */
        FoundPerson: {
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            id: string;
            /** @example ada */
            username: string;
            /** @example Ada */
            first_name: string | null;
            /** @example Lovelace */
            last_name: string | null;
            /**
             * Format: idn-email
             * @description Only in answers to admins.
             */
            email?: string;
        };
        /**
         * FoundPersonPage
         * @example {
         *       "items": [
         *         {
         *           "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "username": "ada",
         *           "first_name": "Ada",
         *           "last_name": "Lovelace"
         *         }
         *       ],
         *       "limit": 20,
         *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
         *       "offset": 0,
         *       "total": 1,
         *       "total_capped": true
         *     }
         */
        FoundPersonPage: {
            /**
             * @example [
             *       {
             *         "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *         "username": "ada",
             *         "first_name": "Ada",
             *         "last_name": "Lovelace"
             *       }
             *     ]
             */
            items: components["schemas"]["FoundPerson"][];
            /**
             * @description The maximum number of items on a page.
             * @example 20
             */
            limit: number;
            /**
             * @description Where the next page begins: send it as `cursor`. Null at the end.
             * @example eyJrIjpbIjAxOTNhIl19.c2ln
             */
            next_cursor: string | null;
            /**
             * @description The number of skipped items; absent when the page was requested by cursor.
             * @example 0
             */
            offset?: number;
            /**
             * @description The total number of items, counted up to 10000; absent when the page was requested by cursor.
             * @example 1
             */
            total?: number;
            /**
             * @description Present when there are more items than `total`.
             * @example true
             * @constant
             */
            total_capped?: true;
        };
        /**
         * Person
         * @example {
         *       "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "username": "ada",
         *       "first_name": "Ada",
         *       "last_name": "Lovelace"
         *     }
         */
        Person: {
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            id: string;
            /** @example ada */
            username: string;
            /** @example Ada */
            first_name: string | null;
            /** @example Lovelace */
            last_name: string | null;
        };
        /**
         * UsersPatchBody
         * @example {
         *       "email": "ada@example.com",
         *       "username": "ada",
         *       "first_name": "Ada",
         *       "last_name": "Lovelace"
         *     }
         */
        UsersPatchBody: {
            /** Format: idn-email */
            email?: string;
            username?: string;
            /** @description 1 to 100 characters, without the white space around them; at least one is visible. */
            first_name?: string | null;
            /** @description 1 to 100 characters, without the white space around them; at least one is visible. */
            last_name?: string | null;
            /**
             * @description Only admins may set this.
             * @enum {string}
             */
            role?: "user" | "manager" | "admin";
            /** @description Only admins may set this. */
            is_active?: boolean;
        };
        /**
         * ProjectItem
         * @example {
         *       "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "slug": "analytical-engine",
         *       "name": "Analytical Engine",
         *       "status": "active",
         *       "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "role": "owner",
         *       "version": 1,
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "updated_at": "2026-11-21T09:30:00.000Z"
         *     }
         */
        ProjectItem: {
            /**
             * Format: uuid
             * @example 0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21
             */
            id: string;
            /**
             * @description Can stand in place of the id in paths.
             * @example analytical-engine
             */
            slug: string;
            /** @example Analytical Engine */
            name: string;
            /**
             * @description An archived project refuses every write but `status: active`.
             * @example active
             * @enum {string}
             */
            status: "active" | "archived";
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            owner_id: string;
            /**
             * @description Your role; null for a manager or admin who is not a member.
             * @example owner
             * @enum {string|null}
             */
            role: "viewer" | "member" | "manager" | "owner" | null;
            /**
             * @description Grows by one with each change; the `ETag` comes from it.
             * @example 1
             */
            version: number;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            updated_at: string;
            /**
             * Format: date-time
             * @description Only in a deleted project.
             */
            deleted_at?: string;
        };
        /**
         * ProjectItemPage
         * @example {
         *       "items": [
         *         {
         *           "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "slug": "analytical-engine",
         *           "name": "Analytical Engine",
         *           "status": "active",
         *           "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "role": "owner",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       ],
         *       "limit": 20,
         *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
         *       "offset": 0,
         *       "total": 1,
         *       "total_capped": true
         *     }
         */
        ProjectItemPage: {
            /**
             * @example [
             *       {
             *         "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
             *         "slug": "analytical-engine",
             *         "name": "Analytical Engine",
             *         "status": "active",
             *         "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *         "role": "owner",
             *         "version": 1,
             *         "created_at": "2026-11-21T09:30:00.000Z",
             *         "updated_at": "2026-11-21T09:30:00.000Z"
             *       }
             *     ]
             */
            items: components["schemas"]["ProjectItem"][];
            /**
             * @description The maximum number of items on a page.
             * @example 20
             */
            limit: number;
            /**
             * @description Where the next page begins: send it as `cursor`. Null at the end.
             * @example eyJrIjpbIjAxOTNhIl19.c2ln
             */
            next_cursor: string | null;
            /**
             * @description The number of skipped items; absent when the page was requested by cursor.
             * @example 0
             */
            offset?: number;
            /**
             * @description The total number of items, counted up to 10000; absent when the page was requested by cursor.
             * @example 1
             */
            total?: number;
            /**
             * @description Present when there are more items than `total`.
             * @example true
             * @constant
             */
            total_capped?: true;
        };
        /**
         * ProjectsCreateBody
         * @example {
         *       "name": "Analytical Engine",
         *       "description": "A general-purpose computing machine.",
         *       "slug": "analytical-engine"
         *     }
         */
        ProjectsCreateBody: {
            /** @description 1 to 100 characters, without the white space around them; at least one is visible. */
            name: string;
            description?: string | null;
            slug?: string;
        };
        /**
         * TaskCounts
         * @example {
         *       "pending": 0,
         *       "in_progress": 0,
         *       "completed": 0,
         *       "cancelled": 0,
         *       "archived": 0
         *     }
         */
        TaskCounts: {
            /** @example 0 */
            pending: number;
            /** @example 0 */
            in_progress: number;
            /** @example 0 */
            completed: number;
            /** @example 0 */
            cancelled: number;
            /** @example 0 */
            archived: number;
        };
        /**
         * Project
         * @example {
         *       "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "slug": "analytical-engine",
         *       "name": "Analytical Engine",
         *       "status": "active",
         *       "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "role": "owner",
         *       "version": 1,
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "updated_at": "2026-11-21T09:30:00.000Z",
         *       "description": "A general-purpose computing machine.",
         *       "task_counts": {
         *         "pending": 0,
         *         "in_progress": 0,
         *         "completed": 0,
         *         "cancelled": 0,
         *         "archived": 0
         *       }
         *     }
         */
        Project: {
            /**
             * Format: uuid
             * @example 0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21
             */
            id: string;
            /**
             * @description Can stand in place of the id in paths.
             * @example analytical-engine
             */
            slug: string;
            /** @example Analytical Engine */
            name: string;
            /**
             * @description An archived project refuses every write but `status: active`.
             * @example active
             * @enum {string}
             */
            status: "active" | "archived";
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            owner_id: string;
            /**
             * @description Your role; null for a manager or admin who is not a member.
             * @example owner
             * @enum {string|null}
             */
            role: "viewer" | "member" | "manager" | "owner" | null;
            /**
             * @description Grows by one with each change; the `ETag` comes from it.
             * @example 1
             */
            version: number;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            updated_at: string;
            /**
             * Format: date-time
             * @description Only in a deleted project.
             */
            deleted_at?: string;
            /** @example A general-purpose computing machine. */
            description: string | null;
            task_counts: components["schemas"]["TaskCounts"];
        };
        /**
         * ProjectsReplaceBody
         * @example {
         *       "name": "Analytical Engine",
         *       "description": "A general-purpose computing machine.",
         *       "slug": "analytical-engine",
         *       "status": "active"
         *     }
         */
        ProjectsReplaceBody: {
            /** @description 1 to 100 characters, without the white space around them; at least one is visible. */
            name: string;
            description?: string | null;
            slug?: string;
            /** @enum {string} */
            status?: "active" | "archived";
        };
        /**
         * ProjectsPatchBody
         * @example {
         *       "name": "Analytical Engine",
         *       "description": "A general-purpose computing machine.",
         *       "slug": "analytical-engine",
         *       "status": "active"
         *     }
         */
        ProjectsPatchBody: {
            /** @description 1 to 100 characters, without the white space around them; at least one is visible. */
            name?: string;
            description?: string | null;
            slug?: string;
            /** @enum {string} */
            status?: "active" | "archived";
        };
        /**
         * Member
         * @example {
         *       "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
         *       "username": "ada",
         *       "first_name": "Ada",
         *       "last_name": "Lovelace",
         *       "role": "member",
         *       "created_at": "2026-11-21T09:30:00.000Z"
         *     }
         */
        Member: {
            /**
             * Format: uuid
             * @example 0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65
             */
            user_id: string;
            /** @example ada */
            username: string;
            /** @example Ada */
            first_name: string | null;
            /** @example Lovelace */
            last_name: string | null;
            /**
             * @example member
             * @enum {string}
             */
            role: "viewer" | "member" | "manager" | "owner";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
        };
        /**
         * MemberPage
         * @example {
         *       "items": [
         *         {
         *           "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
         *           "username": "ada",
         *           "first_name": "Ada",
         *           "last_name": "Lovelace",
         *           "role": "member",
         *           "created_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       ],
         *       "limit": 20,
         *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
         *       "offset": 0,
         *       "total": 1,
         *       "total_capped": true
         *     }
         */
        MemberPage: {
            /**
             * @example [
             *       {
             *         "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
             *         "username": "ada",
             *         "first_name": "Ada",
             *         "last_name": "Lovelace",
             *         "role": "member",
             *         "created_at": "2026-11-21T09:30:00.000Z"
             *       }
             *     ]
             */
            items: components["schemas"]["Member"][];
            /**
             * @description The maximum number of items on a page.
             * @example 20
             */
            limit: number;
            /**
             * @description Where the next page begins: send it as `cursor`. Null at the end.
             * @example eyJrIjpbIjAxOTNhIl19.c2ln
             */
            next_cursor: string | null;
            /**
             * @description The number of skipped items; absent when the page was requested by cursor.
             * @example 0
             */
            offset?: number;
            /**
             * @description The total number of items, counted up to 10000; absent when the page was requested by cursor.
             * @example 1
             */
            total?: number;
            /**
             * @description Present when there are more items than `total`.
             * @example true
             * @constant
             */
            total_capped?: true;
        };
        /**
         * ProjectsAddMemberBody
         * @example {
         *       "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
         *       "role": "member"
         *     }
         */
        ProjectsAddMemberBody: {
            /** Format: uuid */
            user_id: string;
            /** @enum {string} */
            role: "viewer" | "member" | "manager" | "owner";
        };
        /**
         * ProjectsUpdateMemberBody
         * @example {
         *       "role": "member"
         *     }
         */
        ProjectsUpdateMemberBody: {
            /** @enum {string} */
            role: "viewer" | "member" | "manager" | "owner";
        };
        /**
         * EventTask
         * @example {
         *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *       "title": "Write Note G",
         *       "description": "How the engine computes Bernoulli numbers.",
         *       "status": "pending",
         *       "priority": "high",
         *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "due_date": "2026-12-01T17:00:00.000Z",
         *       "completed_at": null,
         *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *       "version": 1,
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "updated_at": "2026-11-21T09:30:00.000Z"
         *     }
         */
        EventTask: {
            /**
             * Format: uuid
             * @example 0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d
             */
            id: string;
            /**
             * @description Null in events from before the task was redacted.
             * @example Write Note G
             */
            title: string | null;
            /** @example How the engine computes Bernoulli numbers. */
            description: string | null;
            /**
             * @example pending
             * @enum {string}
             */
            status: "pending" | "in_progress" | "completed" | "cancelled" | "archived";
            /**
             * @example high
             * @enum {string}
             */
            priority: "low" | "medium" | "high" | "urgent";
            /**
             * Format: uuid
             * @description Null for a personal task.
             * @example 0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21
             */
            project_id: string | null;
            /**
             * Format: uuid
             * @example 0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e
             */
            category_id: string | null;
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            created_by: string;
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            assigned_to: string | null;
            /**
             * Format: date-time
             * @example 2026-12-01T17:00:00.000Z
             */
            due_date: string | null;
            /**
             * Format: date-time
             * @description Follows `status`.
             * @example null
             */
            completed_at: string | null;
            /**
             * @description The task's place in the order of its project, or of its creator's personal tasks: compared by its bytes.
             * @example 0193a5c61f8b7ab29d4e8c7b6a5f4e3d
             */
            position: string;
            /**
             * @description Counts the changes; the `ETag` is made of it.
             * @example 1
             */
            version: number;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            updated_at: string;
            /**
             * Format: date-time
             * @description Only in a deleted task.
             */
            deleted_at?: string;
        };
        /**
         * TaskEventData
         * @example {
         *       "task": {
         *         "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *         "title": "Write Note G",
         *         "description": "How the engine computes Bernoulli numbers.",
         *         "status": "pending",
         *         "priority": "high",
         *         "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *         "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *         "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "due_date": "2026-12-01T17:00:00.000Z",
         *         "completed_at": null,
         *         "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *         "version": 1,
         *         "created_at": "2026-11-21T09:30:00.000Z",
         *         "updated_at": "2026-11-21T09:30:00.000Z"
         *       }
         *     }
         */
        TaskEventData: {
            task: components["schemas"]["EventTask"];
        };
        /**
         * TaskCreatedEvent
         * @description A task was created.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "task_created",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "task": {
         *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "title": "Write Note G",
         *           "description": "How the engine computes Bernoulli numbers.",
         *           "status": "pending",
         *           "priority": "high",
         *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "due_date": "2026-12-01T17:00:00.000Z",
         *           "completed_at": null,
         *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       }
         *     }
         */
        TaskCreatedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example task_created
             * @constant
             */
            type: "task_created";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["TaskEventData"];
        };
        /**
         * TaskChanges
         * @example {
         *       "title": {
         *         "old": null,
         *         "new": "Write Note G"
         *       }
         *     }
         */
        TaskChanges: {
            title?: {
                old: string | null;
                new: string | null;
            };
            description?: {
                old: string | null;
                new: string | null;
            };
            status?: {
                /** @enum {string|null} */
                old: "pending" | "in_progress" | "completed" | "cancelled" | "archived" | null;
                /** @enum {string|null} */
                new: "pending" | "in_progress" | "completed" | "cancelled" | "archived" | null;
            };
            priority?: {
                /** @enum {string|null} */
                old: "low" | "medium" | "high" | "urgent" | null;
                /** @enum {string|null} */
                new: "low" | "medium" | "high" | "urgent" | null;
            };
            category_id?: {
                /** Format: uuid */
                old: string | null;
                /** Format: uuid */
                new: string | null;
            };
            assigned_to?: {
                /** Format: uuid */
                old: string | null;
                /** Format: uuid */
                new: string | null;
            };
            due_date?: {
                /** Format: date-time */
                old: string | null;
                /** Format: date-time */
                new: string | null;
            };
            completed_at?: {
                /** Format: date-time */
                old: string | null;
                /** Format: date-time */
                new: string | null;
            };
            position?: {
                old: string | null;
                new: string | null;
            };
        };
        /**
         * TaskChangeData
         * @example {
         *       "task": {
         *         "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *         "title": "Write Note G",
         *         "description": "How the engine computes Bernoulli numbers.",
         *         "status": "pending",
         *         "priority": "high",
         *         "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *         "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *         "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "due_date": "2026-12-01T17:00:00.000Z",
         *         "completed_at": null,
         *         "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *         "version": 1,
         *         "created_at": "2026-11-21T09:30:00.000Z",
         *         "updated_at": "2026-11-21T09:30:00.000Z"
         *       },
         *       "changes": {
         *         "title": {
         *           "old": null,
         *           "new": "Write Note G"
         *         }
         *       }
         *     }
         */
        TaskChangeData: {
            task: components["schemas"]["EventTask"];
            changes: components["schemas"]["TaskChanges"];
        };
        /**
         * TaskUpdatedEvent
         * @description Fields of a task changed, except those that task_completed and task_assigned tell.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "task_updated",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "task": {
         *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "title": "Write Note G",
         *           "description": "How the engine computes Bernoulli numbers.",
         *           "status": "pending",
         *           "priority": "high",
         *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "due_date": "2026-12-01T17:00:00.000Z",
         *           "completed_at": null,
         *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         },
         *         "changes": {
         *           "title": {
         *             "old": null,
         *             "new": "Write Note G"
         *           }
         *         }
         *       }
         *     }
         */
        TaskUpdatedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example task_updated
             * @constant
             */
            type: "task_updated";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["TaskChangeData"];
        };
        /**
         * TaskMovedEvent
         * @description A task was moved on its board, to another place, to another column, or both; what task_completed tells is left out.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "task_moved",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "task": {
         *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "title": "Write Note G",
         *           "description": "How the engine computes Bernoulli numbers.",
         *           "status": "pending",
         *           "priority": "high",
         *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "due_date": "2026-12-01T17:00:00.000Z",
         *           "completed_at": null,
         *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         },
         *         "changes": {
         *           "title": {
         *             "old": null,
         *             "new": "Write Note G"
         *           }
         *         }
         *       }
         *     }
         */
        TaskMovedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example task_moved
             * @constant
             */
            type: "task_moved";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["TaskChangeData"];
        };
        /**
         * TaskAssignedEvent
         * @description A task has another assignee, or none. The new assignee gets the event on their own stream, too, and so does the former assignee of a personal task.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "task_assigned",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "task": {
         *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "title": "Write Note G",
         *           "description": "How the engine computes Bernoulli numbers.",
         *           "status": "pending",
         *           "priority": "high",
         *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "due_date": "2026-12-01T17:00:00.000Z",
         *           "completed_at": null,
         *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         },
         *         "changes": {
         *           "title": {
         *             "old": null,
         *             "new": "Write Note G"
         *           }
         *         }
         *       }
         *     }
         */
        TaskAssignedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example task_assigned
             * @constant
             */
            type: "task_assigned";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["TaskChangeData"];
        };
        /**
         * TaskCompletedEvent
         * @description A task was completed.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "task_completed",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "task": {
         *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "title": "Write Note G",
         *           "description": "How the engine computes Bernoulli numbers.",
         *           "status": "pending",
         *           "priority": "high",
         *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "due_date": "2026-12-01T17:00:00.000Z",
         *           "completed_at": null,
         *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         },
         *         "changes": {
         *           "title": {
         *             "old": null,
         *             "new": "Write Note G"
         *           }
         *         }
         *       }
         *     }
         */
        TaskCompletedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example task_completed
             * @constant
             */
            type: "task_completed";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["TaskChangeData"];
        };
        /**
         * TaskDeletedEvent
         * @description A task was deleted; it can be restored for a while.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "task_deleted",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "task": {
         *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "title": "Write Note G",
         *           "description": "How the engine computes Bernoulli numbers.",
         *           "status": "pending",
         *           "priority": "high",
         *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "due_date": "2026-12-01T17:00:00.000Z",
         *           "completed_at": null,
         *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       }
         *     }
         */
        TaskDeletedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example task_deleted
             * @constant
             */
            type: "task_deleted";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["TaskEventData"];
        };
        /**
         * TaskRestoredEvent
         * @description A deleted task was restored.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "task_restored",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "task": {
         *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "title": "Write Note G",
         *           "description": "How the engine computes Bernoulli numbers.",
         *           "status": "pending",
         *           "priority": "high",
         *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "due_date": "2026-12-01T17:00:00.000Z",
         *           "completed_at": null,
         *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       }
         *     }
         */
        TaskRestoredEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example task_restored
             * @constant
             */
            type: "task_restored";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["TaskEventData"];
        };
        /**
         * TaskRedactedEvent
         * @description The texts of a task were taken out of it and out of the log.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "task_redacted",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "task": {
         *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "title": "Write Note G",
         *           "description": "How the engine computes Bernoulli numbers.",
         *           "status": "pending",
         *           "priority": "high",
         *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "due_date": "2026-12-01T17:00:00.000Z",
         *           "completed_at": null,
         *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       }
         *     }
         */
        TaskRedactedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example task_redacted
             * @constant
             */
            type: "task_redacted";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["TaskEventData"];
        };
        /**
         * TaskDueSoonEvent
         * @description An open task is due soon. Sent once for each due date.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "task_due_soon",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "task": {
         *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "title": "Write Note G",
         *           "description": "How the engine computes Bernoulli numbers.",
         *           "status": "pending",
         *           "priority": "high",
         *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "due_date": "2026-12-01T17:00:00.000Z",
         *           "completed_at": null,
         *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       }
         *     }
         */
        TaskDueSoonEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example task_due_soon
             * @constant
             */
            type: "task_due_soon";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["TaskEventData"];
        };
        /**
         * EventComment
         * @example {
         *       "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
         *       "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *       "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "body": "The table of operations is done.",
         *       "version": 1,
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "updated_at": "2026-11-21T09:30:00.000Z"
         *     }
         */
        EventComment: {
            /**
             * Format: uuid
             * @example 0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f
             */
            id: string;
            /**
             * Format: uuid
             * @example 0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d
             */
            task_id: string;
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            author_id: string;
            /**
             * @description Null in events from before the comment was redacted.
             * @example The table of operations is done.
             */
            body: string | null;
            /**
             * @description Counts the changes; the `ETag` is made of it.
             * @example 1
             */
            version: number;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            updated_at: string;
        };
        /**
         * CommentEventData
         * @example {
         *       "comment": {
         *         "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
         *         "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *         "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "body": "The table of operations is done.",
         *         "version": 1,
         *         "created_at": "2026-11-21T09:30:00.000Z",
         *         "updated_at": "2026-11-21T09:30:00.000Z"
         *       }
         *     }
         */
        CommentEventData: {
            comment: components["schemas"]["EventComment"];
        };
        /**
         * CommentCreatedEvent
         * @description A task has a new comment.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "comment_created",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "comment": {
         *           "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
         *           "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "body": "The table of operations is done.",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       }
         *     }
         */
        CommentCreatedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example comment_created
             * @constant
             */
            type: "comment_created";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["CommentEventData"];
        };
        /**
         * CommentChanges
         * @example {
         *       "body": {
         *         "old": null,
         *         "new": "The table of operations is done."
         *       }
         *     }
         */
        CommentChanges: {
            body?: {
                old: string | null;
                new: string | null;
            };
        };
        /**
         * CommentChangeData
         * @example {
         *       "comment": {
         *         "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
         *         "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *         "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "body": "The table of operations is done.",
         *         "version": 1,
         *         "created_at": "2026-11-21T09:30:00.000Z",
         *         "updated_at": "2026-11-21T09:30:00.000Z"
         *       },
         *       "changes": {
         *         "body": {
         *           "old": null,
         *           "new": "The table of operations is done."
         *         }
         *       }
         *     }
         */
        CommentChangeData: {
            comment: components["schemas"]["EventComment"];
            changes: components["schemas"]["CommentChanges"];
        };
        /**
         * CommentUpdatedEvent
         * @description The author edited a comment.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "comment_updated",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "comment": {
         *           "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
         *           "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "body": "The table of operations is done.",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         },
         *         "changes": {
         *           "body": {
         *             "old": null,
         *             "new": "The table of operations is done."
         *           }
         *         }
         *       }
         *     }
         */
        CommentUpdatedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example comment_updated
             * @constant
             */
            type: "comment_updated";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["CommentChangeData"];
        };
        /**
         * CommentDeletedEvent
         * @description A comment was deleted.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "comment_deleted",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "comment": {
         *           "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
         *           "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "body": "The table of operations is done.",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       }
         *     }
         */
        CommentDeletedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example comment_deleted
             * @constant
             */
            type: "comment_deleted";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["CommentEventData"];
        };
        /**
         * CommentRedactedEvent
         * @description The text of a comment was taken out of it and out of the log.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "comment_redacted",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "comment": {
         *           "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
         *           "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "body": "The table of operations is done.",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       }
         *     }
         */
        CommentRedactedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example comment_redacted
             * @constant
             */
            type: "comment_redacted";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["CommentEventData"];
        };
        /**
         * EventProject
         * @example {
         *       "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "slug": "analytical-engine",
         *       "name": "Analytical Engine",
         *       "status": "active",
         *       "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "version": 1,
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "updated_at": "2026-11-21T09:30:00.000Z",
         *       "description": "A general-purpose computing machine."
         *     }
         */
        EventProject: {
            /**
             * Format: uuid
             * @example 0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21
             */
            id: string;
            /**
             * @description Can stand in place of the id in paths.
             * @example analytical-engine
             */
            slug: string;
            /** @example Analytical Engine */
            name: string;
            /**
             * @description An archived project refuses every write but `status: active`.
             * @example active
             * @enum {string}
             */
            status: "active" | "archived";
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            owner_id: string;
            /**
             * @description Grows by one with each change; the `ETag` comes from it.
             * @example 1
             */
            version: number;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            updated_at: string;
            /**
             * Format: date-time
             * @description Only in a deleted project.
             */
            deleted_at?: string;
            /** @example A general-purpose computing machine. */
            description: string | null;
        };
        /**
         * ProjectChanges
         * @example {
         *       "name": {
         *         "old": null,
         *         "new": "Analytical Engine"
         *       }
         *     }
         */
        ProjectChanges: {
            name?: {
                old: string | null;
                new: string | null;
            };
            description?: {
                old: string | null;
                new: string | null;
            };
            slug?: {
                old: string | null;
                new: string | null;
            };
            status?: {
                /** @enum {string|null} */
                old: "active" | "archived" | null;
                /** @enum {string|null} */
                new: "active" | "archived" | null;
            };
            owner_id?: {
                /** Format: uuid */
                old: string | null;
                /** Format: uuid */
                new: string | null;
            };
        };
        /**
         * ProjectChangeData
         * @example {
         *       "project": {
         *         "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *         "slug": "analytical-engine",
         *         "name": "Analytical Engine",
         *         "status": "active",
         *         "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "version": 1,
         *         "created_at": "2026-11-21T09:30:00.000Z",
         *         "updated_at": "2026-11-21T09:30:00.000Z",
         *         "description": "A general-purpose computing machine."
         *       },
         *       "changes": {
         *         "name": {
         *           "old": null,
         *           "new": "Analytical Engine"
         *         }
         *       }
         *     }
         */
        ProjectChangeData: {
            project: components["schemas"]["EventProject"];
            changes: components["schemas"]["ProjectChanges"];
        };
        /**
         * ProjectUpdatedEvent
         * @description Fields of a project changed. An archived project takes no writes.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "project_updated",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "project": {
         *           "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "slug": "analytical-engine",
         *           "name": "Analytical Engine",
         *           "status": "active",
         *           "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z",
         *           "description": "A general-purpose computing machine."
         *         },
         *         "changes": {
         *           "name": {
         *             "old": null,
         *             "new": "Analytical Engine"
         *           }
         *         }
         *       }
         *     }
         */
        ProjectUpdatedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example project_updated
             * @constant
             */
            type: "project_updated";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["ProjectChangeData"];
        };
        /**
         * ProjectEventData
         * @example {
         *       "project": {
         *         "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *         "slug": "analytical-engine",
         *         "name": "Analytical Engine",
         *         "status": "active",
         *         "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "version": 1,
         *         "created_at": "2026-11-21T09:30:00.000Z",
         *         "updated_at": "2026-11-21T09:30:00.000Z",
         *         "description": "A general-purpose computing machine."
         *       }
         *     }
         */
        ProjectEventData: {
            project: components["schemas"]["EventProject"];
        };
        /**
         * ProjectDeletedEvent
         * @description A project was deleted: its stream closes after this event. It can be restored for a while.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "project_deleted",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "project": {
         *           "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "slug": "analytical-engine",
         *           "name": "Analytical Engine",
         *           "status": "active",
         *           "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z",
         *           "description": "A general-purpose computing machine."
         *         }
         *       }
         *     }
         */
        ProjectDeletedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example project_deleted
             * @constant
             */
            type: "project_deleted";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["ProjectEventData"];
        };
        /**
         * ProjectRestoredData
         * @example {
         *       "project": {
         *         "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *         "slug": "analytical-engine",
         *         "name": "Analytical Engine",
         *         "status": "active",
         *         "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "version": 1,
         *         "created_at": "2026-11-21T09:30:00.000Z",
         *         "updated_at": "2026-11-21T09:30:00.000Z",
         *         "description": "A general-purpose computing machine."
         *       },
         *       "changes": {
         *         "name": {
         *           "old": null,
         *           "new": "Analytical Engine"
         *         }
         *       }
         *     }
         */
        ProjectRestoredData: {
            project: components["schemas"]["EventProject"];
            changes?: components["schemas"]["ProjectChanges"];
        };
        /**
         * ProjectRestoredEvent
         * @description A deleted project is back, perhaps under another slug. Its members get this on their own streams too.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "project_restored",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "project": {
         *           "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "slug": "analytical-engine",
         *           "name": "Analytical Engine",
         *           "status": "active",
         *           "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z",
         *           "description": "A general-purpose computing machine."
         *         },
         *         "changes": {
         *           "name": {
         *             "old": null,
         *             "new": "Analytical Engine"
         *           }
         *         }
         *       }
         *     }
         */
        ProjectRestoredEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example project_restored
             * @constant
             */
            type: "project_restored";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["ProjectRestoredData"];
        };
        /**
         * EventMemberProject
         * @example {
         *       "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "slug": "analytical-engine",
         *       "name": "Analytical Engine"
         *     }
         */
        EventMemberProject: {
            /**
             * Format: uuid
             * @example 0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21
             */
            id: string;
            /**
             * @description Can stand in place of the id in paths.
             * @example analytical-engine
             */
            slug: string;
            /** @example Analytical Engine */
            name: string;
        };
        /**
         * EventMember
         * @example {
         *       "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
         *       "role": "member",
         *       "created_at": "2026-11-21T09:30:00.000Z"
         *     }
         */
        EventMember: {
            /**
             * Format: uuid
             * @example 0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65
             */
            user_id: string;
            /**
             * @example member
             * @enum {string}
             */
            role: "viewer" | "member" | "manager" | "owner";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
        };
        /**
         * MembershipEventData
         * @example {
         *       "project": {
         *         "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *         "slug": "analytical-engine",
         *         "name": "Analytical Engine"
         *       },
         *       "member": {
         *         "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
         *         "role": "member",
         *         "created_at": "2026-11-21T09:30:00.000Z"
         *       },
         *       "changes": {}
         *     }
         */
        MembershipEventData: {
            project: components["schemas"]["EventMemberProject"];
            member: components["schemas"]["EventMember"];
            /** @example {} */
            changes: Record<string, never>;
        };
        /**
         * MemberAddedEvent
         * @description A user became a member of a project. The user gets this on their own stream too.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "member_added",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "project": {
         *           "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "slug": "analytical-engine",
         *           "name": "Analytical Engine"
         *         },
         *         "member": {
         *           "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
         *           "role": "member",
         *           "created_at": "2026-11-21T09:30:00.000Z"
         *         },
         *         "changes": {}
         *       }
         *     }
         */
        MemberAddedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example member_added
             * @constant
             */
            type: "member_added";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["MembershipEventData"];
        };
        /**
         * MembershipChanges
         * @example {
         *       "role": {
         *         "old": null,
         *         "new": "member"
         *       }
         *     }
         */
        MembershipChanges: {
            role?: {
                /** @enum {string|null} */
                old: "viewer" | "member" | "manager" | "owner" | null;
                /** @enum {string|null} */
                new: "viewer" | "member" | "manager" | "owner" | null;
            };
        };
        /**
         * MembershipChangeData
         * @example {
         *       "project": {
         *         "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *         "slug": "analytical-engine",
         *         "name": "Analytical Engine"
         *       },
         *       "member": {
         *         "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
         *         "role": "member",
         *         "created_at": "2026-11-21T09:30:00.000Z"
         *       },
         *       "changes": {
         *         "role": {
         *           "old": null,
         *           "new": "member"
         *         }
         *       }
         *     }
         */
        MembershipChangeData: {
            project: components["schemas"]["EventMemberProject"];
            member: components["schemas"]["EventMember"];
            changes: components["schemas"]["MembershipChanges"];
        };
        /**
         * MemberUpdatedEvent
         * @description A member of a project has another role. The member gets this on their own stream too.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "member_updated",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "project": {
         *           "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "slug": "analytical-engine",
         *           "name": "Analytical Engine"
         *         },
         *         "member": {
         *           "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
         *           "role": "member",
         *           "created_at": "2026-11-21T09:30:00.000Z"
         *         },
         *         "changes": {
         *           "role": {
         *             "old": null,
         *             "new": "member"
         *           }
         *         }
         *       }
         *     }
         */
        MemberUpdatedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example member_updated
             * @constant
             */
            type: "member_updated";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["MembershipChangeData"];
        };
        /**
         * MemberRemovedEvent
         * @description A user is no longer a member of a project. The user gets this on their own stream; the project's stream is closed for them.
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "member_removed",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "project": {
         *           "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "slug": "analytical-engine",
         *           "name": "Analytical Engine"
         *         },
         *         "member": {
         *           "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
         *           "role": "member",
         *           "created_at": "2026-11-21T09:30:00.000Z"
         *         },
         *         "changes": {}
         *       }
         *     }
         */
        MemberRemovedEvent: {
            /**
             * Format: uuid
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string;
            /** @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21 */
            stream: string;
            /**
             * @description The stream's events count 1, 2, 3 …, without a gap.
             * @example 1
             */
            seq: number;
            /**
             * @example member_removed
             * @constant
             */
            type: "member_removed";
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            time: string;
            /**
             * Format: uuid
             * @description Null for an event that no user caused.
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            actor_id: string | null;
            /** @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75 */
            request_id: string | null;
            /** @description The trace of the request (W3C Trace Context); absent when the request named none. */
            traceparent?: string;
            data: components["schemas"]["MembershipEventData"];
        };
        /**
         * Event
         * @example {
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 1,
         *       "type": "task_created",
         *       "time": "2026-11-21T09:30:00.000Z",
         *       "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *       "data": {
         *         "task": {
         *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "title": "Write Note G",
         *           "description": "How the engine computes Bernoulli numbers.",
         *           "status": "pending",
         *           "priority": "high",
         *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "due_date": "2026-12-01T17:00:00.000Z",
         *           "completed_at": null,
         *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       }
         *     }
         */
        Event: components["schemas"]["TaskCreatedEvent"] | components["schemas"]["TaskUpdatedEvent"] | components["schemas"]["TaskMovedEvent"] | components["schemas"]["TaskAssignedEvent"] | components["schemas"]["TaskCompletedEvent"] | components["schemas"]["TaskDeletedEvent"] | components["schemas"]["TaskRestoredEvent"] | components["schemas"]["TaskRedactedEvent"] | components["schemas"]["TaskDueSoonEvent"] | components["schemas"]["CommentCreatedEvent"] | components["schemas"]["CommentUpdatedEvent"] | components["schemas"]["CommentDeletedEvent"] | components["schemas"]["CommentRedactedEvent"] | components["schemas"]["ProjectUpdatedEvent"] | components["schemas"]["ProjectDeletedEvent"] | components["schemas"]["ProjectRestoredEvent"] | components["schemas"]["MemberAddedEvent"] | components["schemas"]["MemberUpdatedEvent"] | components["schemas"]["MemberRemovedEvent"];
        /**
         * EventPage
         * @example {
         *       "items": [
         *         {
         *           "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *           "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "seq": 1,
         *           "type": "task_created",
         *           "time": "2026-11-21T09:30:00.000Z",
         *           "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *           "data": {
         *             "task": {
         *               "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *               "title": "Write Note G",
         *               "description": "How the engine computes Bernoulli numbers.",
         *               "status": "pending",
         *               "priority": "high",
         *               "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *               "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *               "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *               "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *               "due_date": "2026-12-01T17:00:00.000Z",
         *               "completed_at": null,
         *               "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *               "version": 1,
         *               "created_at": "2026-11-21T09:30:00.000Z",
         *               "updated_at": "2026-11-21T09:30:00.000Z"
         *             }
         *           }
         *         }
         *       ],
         *       "limit": 20,
         *       "head": 1,
         *       "next": "1-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"
         *     }
         */
        EventPage: {
            /**
             * @example [
             *       {
             *         "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
             *         "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
             *         "seq": 1,
             *         "type": "task_created",
             *         "time": "2026-11-21T09:30:00.000Z",
             *         "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *         "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
             *         "data": {
             *           "task": {
             *             "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
             *             "title": "Write Note G",
             *             "description": "How the engine computes Bernoulli numbers.",
             *             "status": "pending",
             *             "priority": "high",
             *             "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
             *             "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
             *             "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *             "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *             "due_date": "2026-12-01T17:00:00.000Z",
             *             "completed_at": null,
             *             "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
             *             "version": 1,
             *             "created_at": "2026-11-21T09:30:00.000Z",
             *             "updated_at": "2026-11-21T09:30:00.000Z"
             *           }
             *         }
             *       }
             *     ]
             */
            items: components["schemas"]["Event"][];
            /** @example 20 */
            limit: number;
            /**
             * @description The `seq` of the stream's last event: more can be read while the last item's is smaller.
             * @example 1
             */
            head: number;
            /**
             * @description The cursor of the last item, or `after` where there is none: send it as `after` to go on.
             * @example 1-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            next: string;
        };
        /**
         * SnapshotHead
         * @example {
         *       "type": "head",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 42,
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"
         *     }
         */
        SnapshotHead: {
            /**
             * @example head
             * @constant
             */
            type: "head";
            /**
             * @description The stream that goes on from here.
             * @example project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21
             */
            stream: string;
            /**
             * @description The last event that the snapshot shows; 0 for none.
             * @example 42
             */
            seq: number;
            /**
             * Format: uuid
             * @description The id of that event.
             * @example 0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
             */
            id: string | null;
        };
        /**
         * SnapshotMember
         * @example {
         *       "type": "member",
         *       "data": {
         *         "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
         *         "role": "member",
         *         "created_at": "2026-11-21T09:30:00.000Z"
         *       }
         *     }
         */
        SnapshotMember: {
            /**
             * @example member
             * @constant
             */
            type: "member";
            data: components["schemas"]["EventMember"];
        };
        /**
         * SnapshotTask
         * @example {
         *       "type": "task",
         *       "data": {
         *         "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *         "title": "Write Note G",
         *         "description": "How the engine computes Bernoulli numbers.",
         *         "status": "pending",
         *         "priority": "high",
         *         "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *         "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *         "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "due_date": "2026-12-01T17:00:00.000Z",
         *         "completed_at": null,
         *         "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *         "version": 1,
         *         "created_at": "2026-11-21T09:30:00.000Z",
         *         "updated_at": "2026-11-21T09:30:00.000Z"
         *       }
         *     }
         */
        SnapshotTask: {
            /**
             * @example task
             * @constant
             */
            type: "task";
            data: components["schemas"]["Task"];
        };
        /**
         * Comment
         * @example {
         *       "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
         *       "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *       "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "body": "The table of operations is done.",
         *       "version": 1,
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "updated_at": "2026-11-21T09:30:00.000Z"
         *     }
         */
        Comment: {
            /**
             * Format: uuid
             * @example 0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f
             */
            id: string;
            /**
             * Format: uuid
             * @example 0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d
             */
            task_id: string;
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            author_id: string;
            /** @example The table of operations is done. */
            body: string;
            /**
             * @description Counts the changes; the `ETag` is made of it.
             * @example 1
             */
            version: number;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            updated_at: string;
        };
        /**
         * SnapshotComment
         * @example {
         *       "type": "comment",
         *       "data": {
         *         "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
         *         "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *         "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "body": "The table of operations is done.",
         *         "version": 1,
         *         "created_at": "2026-11-21T09:30:00.000Z",
         *         "updated_at": "2026-11-21T09:30:00.000Z"
         *       }
         *     }
         */
        SnapshotComment: {
            /**
             * @example comment
             * @constant
             */
            type: "comment";
            data: components["schemas"]["Comment"];
        };
        /**
         * SnapshotEnd
         * @example {
         *       "type": "end",
         *       "count": 3
         *     }
         */
        SnapshotEnd: {
            /**
             * @example end
             * @constant
             */
            type: "end";
            /**
             * @description How many members, tasks and comments the snapshot has.
             * @example 3
             */
            count: number;
        };
        /**
         * SnapshotLine
         * @example {
         *       "type": "head",
         *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "seq": 42,
         *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"
         *     }
         */
        SnapshotLine: components["schemas"]["SnapshotHead"] | components["schemas"]["SnapshotMember"] | components["schemas"]["SnapshotTask"] | components["schemas"]["SnapshotComment"] | components["schemas"]["SnapshotEnd"];
        /**
         * TaskPage
         * @example {
         *       "items": [
         *         {
         *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "title": "Write Note G",
         *           "description": "How the engine computes Bernoulli numbers.",
         *           "status": "pending",
         *           "priority": "high",
         *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "due_date": "2026-12-01T17:00:00.000Z",
         *           "completed_at": null,
         *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       ],
         *       "limit": 20,
         *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
         *       "offset": 0,
         *       "total": 1,
         *       "total_capped": true
         *     }
         */
        TaskPage: {
            /**
             * @example [
             *       {
             *         "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
             *         "title": "Write Note G",
             *         "description": "How the engine computes Bernoulli numbers.",
             *         "status": "pending",
             *         "priority": "high",
             *         "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
             *         "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
             *         "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *         "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *         "due_date": "2026-12-01T17:00:00.000Z",
             *         "completed_at": null,
             *         "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
             *         "version": 1,
             *         "created_at": "2026-11-21T09:30:00.000Z",
             *         "updated_at": "2026-11-21T09:30:00.000Z"
             *       }
             *     ]
             */
            items: components["schemas"]["Task"][];
            /**
             * @description The maximum number of items on a page.
             * @example 20
             */
            limit: number;
            /**
             * @description Where the next page begins: send it as `cursor`. Null at the end.
             * @example eyJrIjpbIjAxOTNhIl19.c2ln
             */
            next_cursor: string | null;
            /**
             * @description The number of skipped items; absent when the page was requested by cursor.
             * @example 0
             */
            offset?: number;
            /**
             * @description The total number of items, counted up to 10000; absent when the page was requested by cursor.
             * @example 1
             */
            total?: number;
            /**
             * @description Present when there are more items than `total`.
             * @example true
             * @constant
             */
            total_capped?: true;
        };
        /**
         * TasksCreateInProjectBody
         * @example {
         *       "title": "Write Note G",
         *       "description": "How the engine computes Bernoulli numbers.",
         *       "status": "pending",
         *       "priority": "high",
         *       "due_date": "2026-12-01T17:00:00.000Z"
         *     }
         */
        TasksCreateInProjectBody: {
            /** @description 1 to 200 characters, without the white space around them; at least one is visible. */
            title: string;
            description?: string | null;
            /** @enum {string} */
            status?: "pending" | "in_progress" | "completed" | "cancelled" | "archived";
            /** @enum {string} */
            priority?: "low" | "medium" | "high" | "urgent";
            /** Format: uuid */
            category_id?: string | null;
            /** Format: uuid */
            assigned_to?: string | null;
            /** Format: date-time */
            due_date?: string | null;
        };
        /**
         * NotifierSyncBody
         * @example {
         *       "cursors": {
         *         "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21": "41-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"
         *       }
         *     }
         */
        NotifierSyncBody: {
            /**
             * @description The cursor of each stream that you have, at most 5,000: those of the last sync, or of a socket. Empty at the first one.
             * @example {
             *       "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21": "41-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"
             *     }
             */
            cursors?: {
                [key: string]: string;
            };
            /** @description The maximum number of events, 100 unless you say. */
            limit?: number;
            /** @description Seconds to wait for the first event when there is none; 0 unless you say. */
            wait?: number;
        };
        /**
         * Sync
         * @example {
         *       "events": [
         *         {
         *           "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
         *           "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *           "seq": 1,
         *           "type": "task_created",
         *           "time": "2026-11-21T09:30:00.000Z",
         *           "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
         *           "data": {
         *             "task": {
         *               "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *               "title": "Write Note G",
         *               "description": "How the engine computes Bernoulli numbers.",
         *               "status": "pending",
         *               "priority": "high",
         *               "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *               "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *               "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *               "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *               "due_date": "2026-12-01T17:00:00.000Z",
         *               "completed_at": null,
         *               "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *               "version": 1,
         *               "created_at": "2026-11-21T09:30:00.000Z",
         *               "updated_at": "2026-11-21T09:30:00.000Z"
         *             }
         *           }
         *         }
         *       ],
         *       "cursors": {
         *         "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21": "41-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"
         *       },
         *       "gained": [],
         *       "lost": [],
         *       "reset": [],
         *       "more": false,
         *       "left_out": 1
         *     }
         */
        Sync: {
            /**
             * @description In each stream's order.
             * @example [
             *       {
             *         "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
             *         "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
             *         "seq": 1,
             *         "type": "task_created",
             *         "time": "2026-11-21T09:30:00.000Z",
             *         "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *         "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
             *         "data": {
             *           "task": {
             *             "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
             *             "title": "Write Note G",
             *             "description": "How the engine computes Bernoulli numbers.",
             *             "status": "pending",
             *             "priority": "high",
             *             "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
             *             "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
             *             "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *             "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *             "due_date": "2026-12-01T17:00:00.000Z",
             *             "completed_at": null,
             *             "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
             *             "version": 1,
             *             "created_at": "2026-11-21T09:30:00.000Z",
             *             "updated_at": "2026-11-21T09:30:00.000Z"
             *           }
             *         }
             *       }
             *     ]
             */
            events: components["schemas"]["Event"][];
            /**
             * @description The cursor of each stream that you have now: send them with the next sync.
             * @example {
             *       "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21": "41-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"
             *     }
             */
            cursors: {
                [key: string]: string;
            };
            /**
             * @description Streams that you have from now on, from the position in `cursors`: fetch their state after this sync, and events that follow bring it up to date.
             * @example []
             */
            gained: string[];
            /**
             * @description Streams that you may not read any more: forget what you have of them.
             * @example []
             */
            lost: string[];
            /**
             * @description Streams whose cursor the log does not go on from, since the event was forgotten or the database restored: fetch their state again. `cursors` has the present position.
             * @example []
             */
            reset: string[];
            /**
             * @description More events are there already: sync again at once.
             * @example false
             */
            more: boolean;
            /**
             * @description Your streams beyond the 5,000 that one client may have.
             * @example 1
             */
            left_out?: number;
        };
        /**
         * TasksCreateBody
         * @example {
         *       "title": "Write Note G",
         *       "description": "How the engine computes Bernoulli numbers.",
         *       "status": "pending",
         *       "priority": "high",
         *       "due_date": "2026-12-01T17:00:00.000Z"
         *     }
         */
        TasksCreateBody: {
            /** Format: uuid */
            project_id?: string | null;
            /** @description 1 to 200 characters, without the white space around them; at least one is visible. */
            title: string;
            description?: string | null;
            /** @enum {string} */
            status?: "pending" | "in_progress" | "completed" | "cancelled" | "archived";
            /** @enum {string} */
            priority?: "low" | "medium" | "high" | "urgent";
            /** Format: uuid */
            category_id?: string | null;
            /** Format: uuid */
            assigned_to?: string | null;
            /** Format: date-time */
            due_date?: string | null;
        };
        /**
         * TasksBulkBody
         * @example {
         *       "operations": [
         *         {
         *           "op": "create",
         *           "title": "Write Note G",
         *           "priority": "high"
         *         },
         *         {
         *           "op": "transition",
         *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "to": "completed"
         *         }
         *       ]
         *     }
         */
        TasksBulkBody: {
            /**
             * @example [
             *       {
             *         "op": "create",
             *         "title": "Write Note G",
             *         "priority": "high"
             *       },
             *       {
             *         "op": "transition",
             *         "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
             *         "to": "completed"
             *       }
             *     ]
             */
            operations: ({
                /** @constant */
                op: "create";
                /** Format: uuid */
                project_id?: string | null;
                /** @description 1 to 200 characters, without the white space around them; at least one is visible. */
                title: string;
                description?: string | null;
                /** @enum {string} */
                status?: "pending" | "in_progress" | "completed" | "cancelled" | "archived";
                /** @enum {string} */
                priority?: "low" | "medium" | "high" | "urgent";
                /** Format: uuid */
                category_id?: string | null;
                /** Format: uuid */
                assigned_to?: string | null;
                /** Format: date-time */
                due_date?: string | null;
            } | {
                /** @constant */
                op: "update";
                /** Format: uuid */
                id: string;
                /** @description 1 to 200 characters, without the white space around them; at least one is visible. */
                title?: string;
                description?: string | null;
                /** @enum {string} */
                status?: "pending" | "in_progress" | "completed" | "cancelled" | "archived";
                /** @enum {string} */
                priority?: "low" | "medium" | "high" | "urgent";
                /** Format: uuid */
                category_id?: string | null;
                /** Format: uuid */
                assigned_to?: string | null;
                /** Format: date-time */
                due_date?: string | null;
            } | {
                /** @constant */
                op: "transition";
                /** Format: uuid */
                id: string;
                /** @enum {string} */
                to: "pending" | "in_progress" | "completed" | "cancelled" | "archived";
            } | {
                /** @constant */
                op: "assign";
                /** Format: uuid */
                id: string;
                /** Format: uuid */
                assigned_to: string | null;
            } | {
                /** @constant */
                op: "delete";
                /** Format: uuid */
                id: string;
            })[];
        };
        /**
         * TaskProject
         * @example {
         *       "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "slug": "analytical-engine",
         *       "name": "Analytical Engine"
         *     }
         */
        TaskProject: {
            /**
             * Format: uuid
             * @example 0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21
             */
            id: string;
            /** @example analytical-engine */
            slug: string;
            /** @example Analytical Engine */
            name: string;
        };
        /**
         * TaskCategory
         * @example {
         *       "id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *       "name": "Mathematics",
         *       "color": "#1E90FF"
         *     }
         */
        TaskCategory: {
            /**
             * Format: uuid
             * @example 0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e
             */
            id: string;
            /** @example Mathematics */
            name: string;
            /**
             * @description `#RRGGBB`
             * @example #1E90FF
             */
            color: string;
        };
        /**
         * TaskDetail
         * @example {
         *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *       "title": "Write Note G",
         *       "description": "How the engine computes Bernoulli numbers.",
         *       "status": "pending",
         *       "priority": "high",
         *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *       "due_date": "2026-12-01T17:00:00.000Z",
         *       "completed_at": null,
         *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
         *       "version": 1,
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "updated_at": "2026-11-21T09:30:00.000Z",
         *       "project": {
         *         "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
         *         "slug": "analytical-engine",
         *         "name": "Analytical Engine"
         *       },
         *       "creator": {
         *         "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "username": "ada",
         *         "first_name": "Ada",
         *         "last_name": "Lovelace"
         *       },
         *       "assignee": {
         *         "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *         "username": "ada",
         *         "first_name": "Ada",
         *         "last_name": "Lovelace"
         *       },
         *       "category": {
         *         "id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *         "name": "Mathematics",
         *         "color": "#1E90FF"
         *       },
         *       "comment_count": 0
         *     }
         */
        TaskDetail: {
            /**
             * Format: uuid
             * @example 0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d
             */
            id: string;
            /** @example Write Note G */
            title: string;
            /** @example How the engine computes Bernoulli numbers. */
            description: string | null;
            /**
             * @example pending
             * @enum {string}
             */
            status: "pending" | "in_progress" | "completed" | "cancelled" | "archived";
            /**
             * @example high
             * @enum {string}
             */
            priority: "low" | "medium" | "high" | "urgent";
            /**
             * Format: uuid
             * @description Null for a personal task.
             * @example 0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21
             */
            project_id: string | null;
            /**
             * Format: uuid
             * @example 0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e
             */
            category_id: string | null;
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            created_by: string;
            /**
             * Format: uuid
             * @example 0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f
             */
            assigned_to: string | null;
            /**
             * Format: date-time
             * @example 2026-12-01T17:00:00.000Z
             */
            due_date: string | null;
            /**
             * Format: date-time
             * @description Follows `status`.
             * @example null
             */
            completed_at: string | null;
            /**
             * @description The task's place in the order of its project, or of its creator's personal tasks: compared by its bytes.
             * @example 0193a5c61f8b7ab29d4e8c7b6a5f4e3d
             */
            position: string;
            /**
             * @description Counts the changes; the `ETag` is made of it.
             * @example 1
             */
            version: number;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            updated_at: string;
            /**
             * Format: date-time
             * @description Only in a deleted task.
             */
            deleted_at?: string;
            /**
             * @example {
             *       "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
             *       "slug": "analytical-engine",
             *       "name": "Analytical Engine"
             *     }
             */
            project: components["schemas"]["TaskProject"] | null;
            creator: components["schemas"]["Person"];
            /**
             * @example {
             *       "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *       "username": "ada",
             *       "first_name": "Ada",
             *       "last_name": "Lovelace"
             *     }
             */
            assignee: components["schemas"]["Person"] | null;
            /**
             * @example {
             *       "id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
             *       "name": "Mathematics",
             *       "color": "#1E90FF"
             *     }
             */
            category: components["schemas"]["TaskCategory"] | null;
            /** @example 0 */
            comment_count: number;
        };
        /**
         * TasksReplaceBody
         * @example {
         *       "title": "Write Note G",
         *       "description": "How the engine computes Bernoulli numbers.",
         *       "status": "pending",
         *       "priority": "high",
         *       "due_date": "2026-12-01T17:00:00.000Z"
         *     }
         */
        TasksReplaceBody: {
            /** @description 1 to 200 characters, without the white space around them; at least one is visible. */
            title: string;
            description?: string | null;
            /** @enum {string} */
            status?: "pending" | "in_progress" | "completed" | "cancelled" | "archived";
            /** @enum {string} */
            priority?: "low" | "medium" | "high" | "urgent";
            /** Format: uuid */
            category_id?: string | null;
            /** Format: uuid */
            assigned_to?: string | null;
            /** Format: date-time */
            due_date?: string | null;
        };
        /**
         * TasksPatchBody
         * @example {
         *       "title": "Write Note G",
         *       "description": "How the engine computes Bernoulli numbers.",
         *       "status": "pending",
         *       "priority": "high",
         *       "due_date": "2026-12-01T17:00:00.000Z"
         *     }
         */
        TasksPatchBody: {
            /** @description 1 to 200 characters, without the white space around them; at least one is visible. */
            title?: string;
            description?: string | null;
            /** @enum {string} */
            status?: "pending" | "in_progress" | "completed" | "cancelled" | "archived";
            /** @enum {string} */
            priority?: "low" | "medium" | "high" | "urgent";
            /** Format: uuid */
            category_id?: string | null;
            /** Format: uuid */
            assigned_to?: string | null;
            /** Format: date-time */
            due_date?: string | null;
        };
        /**
         * TasksAssignBody
         * @example {
         *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f"
         *     }
         */
        TasksAssignBody: {
            /** Format: uuid */
            assigned_to: string | null;
        };
        /**
         * TasksTransitionBody
         * @example {
         *       "to": "in_progress"
         *     }
         */
        TasksTransitionBody: {
            /**
             * @example in_progress
             * @enum {string}
             */
            to: "pending" | "in_progress" | "completed" | "cancelled" | "archived";
        };
        /**
         * TasksMoveBody
         * @example {
         *       "status": "pending"
         *     }
         */
        TasksMoveBody: {
            /**
             * @description The column; the task's own by default.
             * @enum {string}
             */
            status?: "pending" | "in_progress" | "completed" | "cancelled" | "archived";
            /**
             * Format: uuid
             * @description The id of a task in that column. Not together with `after`.
             */
            before?: string;
            /**
             * Format: uuid
             * @description The id of a task in that column.
             */
            after?: string;
        };
        /**
         * CommentPage
         * @example {
         *       "items": [
         *         {
         *           "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
         *           "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
         *           "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
         *           "body": "The table of operations is done.",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       ],
         *       "limit": 20,
         *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
         *       "offset": 0,
         *       "total": 1,
         *       "total_capped": true
         *     }
         */
        CommentPage: {
            /**
             * @example [
             *       {
             *         "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
             *         "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
             *         "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
             *         "body": "The table of operations is done.",
             *         "version": 1,
             *         "created_at": "2026-11-21T09:30:00.000Z",
             *         "updated_at": "2026-11-21T09:30:00.000Z"
             *       }
             *     ]
             */
            items: components["schemas"]["Comment"][];
            /**
             * @description The maximum number of items on a page.
             * @example 20
             */
            limit: number;
            /**
             * @description Where the next page begins: send it as `cursor`. Null at the end.
             * @example eyJrIjpbIjAxOTNhIl19.c2ln
             */
            next_cursor: string | null;
            /**
             * @description The number of skipped items; absent when the page was requested by cursor.
             * @example 0
             */
            offset?: number;
            /**
             * @description The total number of items, counted up to 10000; absent when the page was requested by cursor.
             * @example 1
             */
            total?: number;
            /**
             * @description Present when there are more items than `total`.
             * @example true
             * @constant
             */
            total_capped?: true;
        };
        /**
         * TasksCreateCommentBody
         * @example {
         *       "body": "The table of operations is done."
         *     }
         */
        TasksCreateCommentBody: {
            /** @description 1 to 10000 characters, without the white space around them; at least one is visible. */
            body: string;
        };
        /**
         * TasksPatchCommentBody
         * @example {
         *       "body": "The table of operations is done."
         *     }
         */
        TasksPatchCommentBody: {
            /** @description 1 to 10000 characters, without the white space around them; at least one is visible. */
            body: string;
        };
        /**
         * Category
         * @example {
         *       "id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *       "name": "Mathematics",
         *       "color": "#1E90FF",
         *       "version": 1,
         *       "created_at": "2026-11-21T09:30:00.000Z",
         *       "updated_at": "2026-11-21T09:30:00.000Z"
         *     }
         */
        Category: {
            /**
             * Format: uuid
             * @example 0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e
             */
            id: string;
            /** @example Mathematics */
            name: string;
            /**
             * @description `#RRGGBB`
             * @example #1E90FF
             */
            color: string;
            /**
             * @description Counts the changes; the `ETag` is made of it.
             * @example 1
             */
            version: number;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            created_at: string;
            /**
             * Format: date-time
             * @example 2026-11-21T09:30:00.000Z
             */
            updated_at: string;
        };
        /**
         * CategoryPage
         * @example {
         *       "items": [
         *         {
         *           "id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
         *           "name": "Mathematics",
         *           "color": "#1E90FF",
         *           "version": 1,
         *           "created_at": "2026-11-21T09:30:00.000Z",
         *           "updated_at": "2026-11-21T09:30:00.000Z"
         *         }
         *       ],
         *       "limit": 20,
         *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
         *       "offset": 0,
         *       "total": 1,
         *       "total_capped": true
         *     }
         */
        CategoryPage: {
            /**
             * @example [
             *       {
             *         "id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
             *         "name": "Mathematics",
             *         "color": "#1E90FF",
             *         "version": 1,
             *         "created_at": "2026-11-21T09:30:00.000Z",
             *         "updated_at": "2026-11-21T09:30:00.000Z"
             *       }
             *     ]
             */
            items: components["schemas"]["Category"][];
            /**
             * @description The maximum number of items on a page.
             * @example 20
             */
            limit: number;
            /**
             * @description Where the next page begins: send it as `cursor`. Null at the end.
             * @example eyJrIjpbIjAxOTNhIl19.c2ln
             */
            next_cursor: string | null;
            /**
             * @description The number of skipped items; absent when the page was requested by cursor.
             * @example 0
             */
            offset?: number;
            /**
             * @description The total number of items, counted up to 10000; absent when the page was requested by cursor.
             * @example 1
             */
            total?: number;
            /**
             * @description Present when there are more items than `total`.
             * @example true
             * @constant
             */
            total_capped?: true;
        };
        /**
         * TasksCreateCategoryBody
         * @example {
         *       "name": "Mathematics",
         *       "color": "#1E90FF"
         *     }
         */
        TasksCreateCategoryBody: {
            /** @description 1 to 50 characters, without the white space around them; at least one is visible. */
            name: string;
            color: string;
        };
        /**
         * TasksPatchCategoryBody
         * @example {
         *       "name": "Mathematics",
         *       "color": "#1E90FF"
         *     }
         */
        TasksPatchCategoryBody: {
            /** @description 1 to 50 characters, without the white space around them; at least one is visible. */
            name?: string;
            color?: string;
        };
        /**
         * Live
         * @example {
         *       "status": "live"
         *     }
         */
        Live: {
            /**
             * @example live
             * @constant
             */
            status: "live";
        };
        /**
         * Readiness
         * @example {
         *       "status": "ready",
         *       "missing": []
         *     }
         */
        Readiness: {
            /**
             * @description `waiting`: for what is `missing`. All but `ready` are 503.
             * @example ready
             * @enum {string}
             */
            status: "ready" | "starting" | "stopping" | "waiting";
            /**
             * @description Dependencies and services that are away.
             * @example []
             */
            missing: string[];
        };
        /**
         * Dependency
         * @example {
         *       "state": "up",
         *       "latency_ms": 0.42
         *     }
         */
        Dependency: {
            /**
             * @description `off`: the node does without it.
             * @example up
             * @enum {string}
             */
            state: "up" | "down" | "off";
            /**
             * @description Milliseconds until it answered; null without an answer.
             * @example 0.42
             */
            latency_ms: number | null;
        };
        /**
         * Health
         * @example {
         *       "status": "ok",
         *       "version": "0.2.0",
         *       "uptime": 3600,
         *       "database": {
         *         "state": "up",
         *         "latency_ms": 0.42
         *       },
         *       "redis": {
         *         "state": "up",
         *         "latency_ms": 0.42
         *       },
         *       "nats": {
         *         "state": "up",
         *         "latency_ms": 0.42
         *       },
         *       "services": {
         *         "api-gateway": 1,
         *         "auth": 1,
         *         "users": 1,
         *         "projects": 1,
         *         "tasks": 1,
         *         "notifier": 1,
         *         "mailer": 1,
         *         "jobs": 1
         *       }
         *     }
         */
        Health: {
            /**
             * @description `degraded`: the node serves, and Redis or a service is away. `down`: it is not ready, and the status is 503.
             * @example ok
             * @enum {string}
             */
            status: "ok" | "degraded" | "down";
            /**
             * @description The version of the server.
             * @example 0.2.0
             */
            version: string;
            /**
             * @description Seconds since the process started.
             * @example 3600
             */
            uptime: number;
            database: components["schemas"]["Dependency"];
            redis: components["schemas"]["Dependency"];
            nats: components["schemas"]["Dependency"];
            /**
             * @description How many nodes run each service.
             * @example {
             *       "api-gateway": 1,
             *       "auth": 1,
             *       "users": 1,
             *       "projects": 1,
             *       "tasks": 1,
             *       "notifier": 1,
             *       "mailer": 1,
             *       "jobs": 1
             *     }
             */
            services: {
                [key: string]: number;
            };
        };
    };
    responses: {
        /** @description [Malformed request](/problems/malformed-request) */
        MalformedRequest: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Not acceptable](/problems/not-acceptable) */
        NotAcceptable: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Request timeout](/problems/request-timeout) */
        RequestTimeout: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Already taken](/problems/already-exists) */
        AlreadyExists: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Body too large](/problems/payload-too-large) */
        PayloadTooLarge: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Unsupported media type](/problems/unsupported-media-type) */
        UnsupportedMediaType: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Expectation failed](/problems/expectation-failed) */
        ExpectationFailed: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Validation failed](/problems/validation-failed) */
        ValidationFailed: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Too many requests](/problems/rate-limited) */
        RateLimited: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                "Retry-After": components["headers"]["Retry-After"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Headers too large](/problems/headers-too-large) */
        HeadersTooLarge: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Internal server error](/problems/internal-error) */
        InternalError: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Service unavailable](/problems/service-unavailable) · [Database unavailable](/problems/database-unavailable) · [Server overloaded](/problems/overloaded) */
        ServiceUnavailableOrDatabaseUnavailableOrOverloaded: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                "Retry-After": components["headers"]["Retry-After"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [No response in time](/problems/timeout) */
        Timeout: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                "Retry-After": components["headers"]["Retry-After"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Wrong login or password](/problems/invalid-credentials) */
        InvalidCredentials: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Invalid token](/problems/invalid-token) */
        InvalidToken: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Forbidden](/problems/forbidden) */
        Forbidden: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Authentication required](/problems/unauthenticated) · [Invalid token](/problems/invalid-token) */
        UnauthenticatedOrInvalidToken: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                "WWW-Authenticate": components["headers"]["WWW-Authenticate"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Not found](/problems/not-found) */
        NotFound: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Conflict with the current state](/problems/conflict) */
        Conflict: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Already taken](/problems/already-exists) · [Conflict with the current state](/problems/conflict) */
        AlreadyExistsOrConflict: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Resource has changed](/problems/precondition-failed) */
        PreconditionFailed: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [If-Match required](/problems/precondition-required) */
        PreconditionRequired: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [First request still in progress](/problems/idempotency-key-in-flight) · [Already taken](/problems/already-exists) */
        IdempotencyKeyInFlightOrAlreadyExists: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                /**
                 * @description Seconds to wait before the next attempt.
                 * @example 1
                 */
                "Retry-After"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Validation failed](/problems/validation-failed) · [Idempotency key reused](/problems/idempotency-key-reused) */
        ValidationFailedOrIdempotencyKeyReused: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Project is archived](/problems/project-archived) · [Already taken](/problems/already-exists) */
        ProjectArchivedOrAlreadyExists: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Project is archived](/problems/project-archived) */
        ProjectArchived: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [First request still in progress](/problems/idempotency-key-in-flight) · [Conflict with the current state](/problems/conflict) */
        IdempotencyKeyInFlightOrConflict: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                /**
                 * @description Seconds to wait before the next attempt.
                 * @example 1
                 */
                "Retry-After"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [First request still in progress](/problems/idempotency-key-in-flight) · [Already taken](/problems/already-exists) · [Project is archived](/problems/project-archived) */
        IdempotencyKeyInFlightOrAlreadyExistsOrProjectArchived: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                /**
                 * @description Seconds to wait before the next attempt.
                 * @example 1
                 */
                "Retry-After"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Conflict with the current state](/problems/conflict) · [Project is archived](/problems/project-archived) */
        ConflictOrProjectArchived: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Log does not go on from the cursor](/problems/log-rewritten) */
        LogRewritten: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [First request still in progress](/problems/idempotency-key-in-flight) · [Project is archived](/problems/project-archived) · [Status transition not allowed](/problems/illegal-transition) */
        IdempotencyKeyInFlightOrProjectArchivedOrIllegalTransition: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                /**
                 * @description Seconds to wait before the next attempt.
                 * @example 1
                 */
                "Retry-After"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Validation failed](/problems/validation-failed) · [Too many streams](/problems/too-many-streams) */
        ValidationFailedOrTooManyStreams: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [First request still in progress](/problems/idempotency-key-in-flight) */
        IdempotencyKeyInFlight: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                /**
                 * @description Seconds to wait before the next attempt.
                 * @example 1
                 */
                "Retry-After"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Validation failed](/problems/validation-failed) · [Idempotency key reused](/problems/idempotency-key-reused) · [Bulk request failed](/problems/bulk-failed) */
        ValidationFailedOrIdempotencyKeyReusedOrBulkFailed: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [Project is archived](/problems/project-archived) · [Status transition not allowed](/problems/illegal-transition) */
        ProjectArchivedOrIllegalTransition: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [First request still in progress](/problems/idempotency-key-in-flight) · [Project is archived](/problems/project-archived) */
        IdempotencyKeyInFlightOrProjectArchived: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                /**
                 * @description Seconds to wait before the next attempt.
                 * @example 1
                 */
                "Retry-After"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
        /** @description [First request still in progress](/problems/idempotency-key-in-flight) · [Project is archived](/problems/project-archived) · [Status transition not allowed](/problems/illegal-transition) · [Neighbour is not in the column](/problems/neighbour-moved) */
        IdempotencyKeyInFlightOrProjectArchivedOrIllegalTransitionOrNeighbourMoved: {
            headers: {
                "X-Request-ID": components["headers"]["X-Request-ID"];
                "X-Process-Time": components["headers"]["X-Process-Time"];
                "Cache-Control": components["headers"]["Cache-Control"];
                "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                "Referrer-Policy": components["headers"]["Referrer-Policy"];
                "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                "X-Download-Options": components["headers"]["X-Download-Options"];
                "X-Frame-Options": components["headers"]["X-Frame-Options"];
                "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                RateLimit: components["headers"]["RateLimit"];
                /**
                 * @description Seconds to wait before the next attempt.
                 * @example 1
                 */
                "Retry-After"?: string;
                [name: string]: unknown;
            };
            content: {
                "application/problem+json": components["schemas"]["Problem"];
            };
        };
    };
    parameters: {
        /** @description Your own id for the request; the response and the server's log repeat it. */
        "X-Request-ID": string;
        /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
        traceparent: string;
        /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
        "If-Match": string;
        /** @description The `ETag` of the representation that you have. The response is 304 if it is still current. */
        "If-None-Match": string;
        /** @description The `id:` of the last frame that you have; it replaces `after`. A stock EventSource sends it. */
        "Last-Event-ID": string;
        /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
        "Idempotency-Key": string;
        /** @description The refresh token in cookie mode, in place of `refresh_token` in the body. */
        "__Secure-taskwire_refresh": string;
    };
    requestBodies: never;
    headers: {
        /**
         * @description The id of the request: the client's own if it is valid, else a new one.
         * @example 0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75
         */
        "X-Request-ID": string;
        /**
         * @description Milliseconds that the server took.
         * @example 12.34ms
         */
        "X-Process-Time": string;
        /**
         * @description Whether the response may be cached.
         * @example no-store
         */
        "Cache-Control": string;
        /**
         * @description The budgets that the request counted against: `q` requests in `w` seconds.
         * @example "default";q=300;w=60
         */
        "RateLimit-Policy": string;
        /**
         * @description What is left of each budget: `r` requests, until it starts again in `t` seconds.
         * @example "default";r=299;t=60
         */
        RateLimit: string;
        /**
         * @description Seconds to wait before the next attempt.
         * @example 1
         */
        "Retry-After": string;
        /**
         * @description How to authenticate (RFC 6750).
         * @example Bearer realm="taskwire"
         */
        "WWW-Authenticate": string;
        /**
         * @description The path of the new resource.
         * @example /api/v1/tasks/0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d
         */
        Location: string;
        /**
         * @description The version of the resource, for `If-Match` and `If-None-Match`. In the response to a read, a digest of the whole body follows the version.
         * @example "1"
         */
        ETag: string;
        /**
         * @description The next page, `rel="next"` (RFC 8288). The last page has none, nor has a page whose link would be too long.
         * @example </api/v1/tasks?limit=20&cursor=eyJ>; rel="next"
         */
        Link: string;
        /**
         * @description `true`: this is the response to the first request with this key.
         * @example true
         */
        "Idempotency-Replayed": "true";
        /**
         * @description In cookie mode: the refresh token, which scripts cannot read.
         * @example __Secure-taskwire_refresh=…; Max-Age=2592000; Path=/auth; HttpOnly; Secure; SameSite=Strict
         */
        "Set-Cookie": string;
        /**
         * @description A security header for browsers (helmet).
         * @example default-src 'self'
         */
        "Content-Security-Policy": string;
        /**
         * @description A security header for browsers (helmet).
         * @example same-origin
         */
        "Cross-Origin-Opener-Policy": string;
        /**
         * @description A security header for browsers (helmet).
         * @example same-origin
         */
        "Cross-Origin-Resource-Policy": string;
        /**
         * @description A security header for browsers (helmet).
         * @example ?1
         */
        "Origin-Agent-Cluster": string;
        /**
         * @description A security header for browsers (helmet).
         * @example no-referrer
         */
        "Referrer-Policy": string;
        /**
         * @description A security header for browsers (helmet).
         * @example max-age=31536000; includeSubDomains
         */
        "Strict-Transport-Security": string;
        /**
         * @description A security header for browsers (helmet).
         * @example nosniff
         */
        "X-Content-Type-Options": string;
        /**
         * @description A security header for browsers (helmet).
         * @example off
         */
        "X-DNS-Prefetch-Control": string;
        /**
         * @description A security header for browsers (helmet).
         * @example noopen
         */
        "X-Download-Options": string;
        /**
         * @description A security header for browsers (helmet).
         * @example SAMEORIGIN
         */
        "X-Frame-Options": string;
        /**
         * @description A security header for browsers (helmet).
         * @example none
         */
        "X-Permitted-Cross-Domain-Policies": string;
        /**
         * @description A security header for browsers (helmet).
         * @example 0
         */
        "X-XSS-Protection": string;
    };
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    authRegister: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "email": "ada@example.com",
                 *       "username": "ada",
                 *       "password": "correct horse",
                 *       "first_name": "Ada",
                 *       "last_name": "Lovelace"
                 *     }
                 */
                "application/json": components["schemas"]["AuthRegisterBody"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Location: components["headers"]["Location"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "email": "ada@example.com",
                     *       "username": "ada",
                     *       "first_name": "Ada",
                     *       "last_name": "Lovelace",
                     *       "role": "user",
                     *       "is_active": true,
                     *       "is_verified": true,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["User"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["AlreadyExists"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authLogin: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "login": "ada",
                 *       "password": "correct horse"
                 *     }
                 */
                "application/json": components["schemas"]["AuthLoginBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Set-Cookie": components["headers"]["Set-Cookie"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiIwMTkzYTVjMCJ9.c2lnbmF0dXJl",
                     *       "token_type": "Bearer",
                     *       "expires_in": 900,
                     *       "refresh_token": "q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA",
                     *       "user": {
                     *         "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *         "email": "ada@example.com",
                     *         "username": "ada",
                     *         "first_name": "Ada",
                     *         "last_name": "Lovelace",
                     *         "role": "user",
                     *         "is_active": true,
                     *         "is_verified": true,
                     *         "created_at": "2026-11-21T09:30:00.000Z",
                     *         "updated_at": "2026-11-21T09:30:00.000Z"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["Login"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["InvalidCredentials"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authRefresh: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: {
                /** @description The refresh token in cookie mode, in place of `refresh_token` in the body. */
                "__Secure-taskwire_refresh"?: components["parameters"]["__Secure-taskwire_refresh"];
            };
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "refresh_token": "q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA"
                 *     }
                 */
                "application/json": components["schemas"]["AuthRefreshBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Set-Cookie": components["headers"]["Set-Cookie"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiIwMTkzYTVjMCJ9.c2lnbmF0dXJl",
                     *       "token_type": "Bearer",
                     *       "expires_in": 900,
                     *       "refresh_token": "q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA",
                     *       "user": {
                     *         "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *         "email": "ada@example.com",
                     *         "username": "ada",
                     *         "first_name": "Ada",
                     *         "last_name": "Lovelace",
                     *         "role": "user",
                     *         "is_active": true,
                     *         "is_verified": true,
                     *         "created_at": "2026-11-21T09:30:00.000Z",
                     *         "updated_at": "2026-11-21T09:30:00.000Z"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["Login"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["InvalidToken"];
            403: components["responses"]["Forbidden"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authLogout: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Set-Cookie": components["headers"]["Set-Cookie"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authLogoutAll: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Set-Cookie": components["headers"]["Set-Cookie"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authMe: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` of the representation that you have. The response is 304 if it is still current. */
                "If-None-Match"?: components["parameters"]["If-None-Match"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "email": "ada@example.com",
                     *       "username": "ada",
                     *       "first_name": "Ada",
                     *       "last_name": "Lovelace",
                     *       "role": "user",
                     *       "is_active": true,
                     *       "is_verified": true,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["User"];
                };
            };
            /** @description Not modified: your representation is current */
            304: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authListSessions: {
        parameters: {
            query?: {
                /** @description The maximum number of items on the page. */
                limit?: number;
                /** @description The number of items to skip. Not together with `cursor`. */
                offset?: number;
                /** @description Where the page begins: `next_cursor` of the previous page. Pages stay in step while items are added or removed. */
                cursor?: string;
                /** @description The sort keys, the most important one first; `-` sorts in descending order. */
                sort?: ("last_used_at" | "-last_used_at" | "created_at" | "-created_at")[];
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0193a5c1-0b1a-7f42-8c6d-5a9e7b3c1d20",
                     *           "created_at": "2026-11-21T09:30:00.000Z",
                     *           "last_used_at": "2026-11-21T10:05:12.345Z",
                     *           "user_agent": "Mozilla/5.0",
                     *           "address": "203.0.113.7",
                     *           "current": true
                     *         }
                     *       ],
                     *       "limit": 20,
                     *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
                     *       "offset": 0,
                     *       "total": 1,
                     *       "total_capped": true
                     *     }
                     */
                    "application/json": components["schemas"]["SessionPage"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authEndSession: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authVerifyEmail: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "token": "q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA"
                 *     }
                 */
                "application/json": components["schemas"]["AuthVerifyEmailBody"];
            };
        };
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authResendVerification: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Accepted, no content */
            202: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authForgotPassword: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "email": "ada@example.com"
                 *     }
                 */
                "application/json": components["schemas"]["AuthForgotPasswordBody"];
            };
        };
        responses: {
            /** @description Accepted, no content */
            202: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authResetPassword: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "token": "q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA",
                 *       "password": "correct horse"
                 *     }
                 */
                "application/json": components["schemas"]["AuthResetPasswordBody"];
            };
        };
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authChangePassword: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "current_password": "correct horse",
                 *       "password": "correct horse"
                 *     }
                 */
                "application/json": components["schemas"]["AuthChangePasswordBody"];
            };
        };
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authListTokens: {
        parameters: {
            query?: {
                /** @description The maximum number of items on the page. */
                limit?: number;
                /** @description The number of items to skip. Not together with `cursor`. */
                offset?: number;
                /** @description Where the page begins: `next_cursor` of the previous page. Pages stay in step while items are added or removed. */
                cursor?: string;
                /** @description The sort keys, the most important one first; `-` sorts in descending order. */
                sort?: ("created_at" | "-created_at" | "name" | "-name")[];
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0193a5c2-4e6b-7a10-b7f3-2c8d9e0f1a3b",
                     *           "name": "nightly import",
                     *           "scope": "read",
                     *           "project_ids": null,
                     *           "created_at": "2026-11-21T09:30:00.000Z",
                     *           "expires_at": "2027-11-21T09:30:00.000Z"
                     *         }
                     *       ],
                     *       "limit": 20,
                     *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
                     *       "offset": 0,
                     *       "total": 1,
                     *       "total_capped": true
                     *     }
                     */
                    "application/json": components["schemas"]["PersonalTokenPage"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authCreateToken: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "nightly import",
                 *       "scope": "read",
                 *       "project_ids": null,
                 *       "expires_at": "2027-11-21T09:30:00.000Z"
                 *     }
                 */
                "application/json": components["schemas"]["AuthCreateTokenBody"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Location: components["headers"]["Location"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c2-4e6b-7a10-b7f3-2c8d9e0f1a3b",
                     *       "name": "nightly import",
                     *       "scope": "read",
                     *       "project_ids": null,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "expires_at": "2027-11-21T09:30:00.000Z",
                     *       "token": "twp_q3bX0n7oV5T4mJtq1kXcWb0hJt8S2dYp9uQ6rL3eZfA"
                     *     }
                     */
                    "application/json": components["schemas"]["NewPersonalToken"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    authRevokeToken: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    usersList: {
        parameters: {
            query?: {
                /** @description A part of a name. 1 to 100 characters, without the white space around them; at least one is visible. */
                q?: string;
                /** @description The maximum number of items on the page. */
                limit?: number;
                /** @description The number of items to skip. Not together with `cursor`. */
                offset?: number;
                /** @description Where the page begins: `next_cursor` of the previous page. Pages stay in step while items are added or removed. */
                cursor?: string;
                /** @description The sort keys, the most important one first; `-` sorts in descending order. */
                sort?: ("relevance" | "-relevance" | "username" | "-username" | "created_at" | "-created_at")[];
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *           "username": "ada",
                     *           "first_name": "Ada",
                     *           "last_name": "Lovelace"
                     *         }
                     *       ],
                     *       "limit": 20,
                     *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
                     *       "offset": 0,
                     *       "total": 1,
                     *       "total_capped": true
                     *     }
                     */
                    "application/json": components["schemas"]["FoundPersonPage"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    usersGet: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` of the representation that you have. The response is 304 if it is still current. */
                "If-None-Match"?: components["parameters"]["If-None-Match"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "email": "ada@example.com",
                     *       "username": "ada",
                     *       "first_name": "Ada",
                     *       "last_name": "Lovelace",
                     *       "role": "user",
                     *       "is_active": true,
                     *       "is_verified": true,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["User"] | components["schemas"]["Person"];
                };
            };
            /** @description Not modified: your representation is current */
            304: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    usersDelete: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["Conflict"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            428: components["responses"]["PreconditionRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    usersPatch: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "email": "ada@example.com",
                 *       "username": "ada",
                 *       "first_name": "Ada",
                 *       "last_name": "Lovelace"
                 *     }
                 */
                "application/json": components["schemas"]["UsersPatchBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "email": "ada@example.com",
                     *       "username": "ada",
                     *       "first_name": "Ada",
                     *       "last_name": "Lovelace",
                     *       "role": "user",
                     *       "is_active": true,
                     *       "is_verified": true,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["User"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["AlreadyExistsOrConflict"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            428: components["responses"]["PreconditionRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsList: {
        parameters: {
            query?: {
                status?: ("active" | "archived")[];
                /** @description A part of a name, or a whole slug. 1 to 100 characters, without the white space around them; at least one is visible. */
                q?: string;
                /** @description `true`: also deleted projects that you may restore. */
                include_deleted?: boolean;
                /** @description The maximum number of items on the page. */
                limit?: number;
                /** @description The number of items to skip. Not together with `cursor`. */
                offset?: number;
                /** @description Where the page begins: `next_cursor` of the previous page. Pages stay in step while items are added or removed. */
                cursor?: string;
                /** @description The sort keys, the most important one first; `-` sorts in descending order. */
                sort?: ("created_at" | "-created_at" | "updated_at" | "-updated_at" | "name" | "-name")[];
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *           "slug": "analytical-engine",
                     *           "name": "Analytical Engine",
                     *           "status": "active",
                     *           "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *           "role": "owner",
                     *           "version": 1,
                     *           "created_at": "2026-11-21T09:30:00.000Z",
                     *           "updated_at": "2026-11-21T09:30:00.000Z"
                     *         }
                     *       ],
                     *       "limit": 20,
                     *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
                     *       "offset": 0,
                     *       "total": 1,
                     *       "total_capped": true
                     *     }
                     */
                    "application/json": components["schemas"]["ProjectItemPage"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsCreate: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "Analytical Engine",
                 *       "description": "A general-purpose computing machine.",
                 *       "slug": "analytical-engine"
                 *     }
                 */
                "application/json": components["schemas"]["ProjectsCreateBody"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Location: components["headers"]["Location"];
                    ETag: components["headers"]["ETag"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "slug": "analytical-engine",
                     *       "name": "Analytical Engine",
                     *       "status": "active",
                     *       "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "role": "owner",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z",
                     *       "description": "A general-purpose computing machine.",
                     *       "task_counts": {
                     *         "pending": 0,
                     *         "in_progress": 0,
                     *         "completed": 0,
                     *         "cancelled": 0,
                     *         "archived": 0
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["Project"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrAlreadyExists"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsGet: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` of the representation that you have. The response is 304 if it is still current. */
                "If-None-Match"?: components["parameters"]["If-None-Match"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "slug": "analytical-engine",
                     *       "name": "Analytical Engine",
                     *       "status": "active",
                     *       "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "role": "owner",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z",
                     *       "description": "A general-purpose computing machine.",
                     *       "task_counts": {
                     *         "pending": 0,
                     *         "in_progress": 0,
                     *         "completed": 0,
                     *         "cancelled": 0,
                     *         "archived": 0
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["Project"];
                };
            };
            /** @description Not modified: your representation is current */
            304: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsReplace: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "Analytical Engine",
                 *       "description": "A general-purpose computing machine.",
                 *       "slug": "analytical-engine",
                 *       "status": "active"
                 *     }
                 */
                "application/json": components["schemas"]["ProjectsReplaceBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "slug": "analytical-engine",
                     *       "name": "Analytical Engine",
                     *       "status": "active",
                     *       "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "role": "owner",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z",
                     *       "description": "A general-purpose computing machine.",
                     *       "task_counts": {
                     *         "pending": 0,
                     *         "in_progress": 0,
                     *         "completed": 0,
                     *         "cancelled": 0,
                     *         "archived": 0
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["Project"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["ProjectArchivedOrAlreadyExists"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            428: components["responses"]["PreconditionRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsDelete: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["ProjectArchived"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            428: components["responses"]["PreconditionRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsPatch: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "name": "Analytical Engine",
                 *       "description": "A general-purpose computing machine.",
                 *       "slug": "analytical-engine",
                 *       "status": "active"
                 *     }
                 */
                "application/json": components["schemas"]["ProjectsPatchBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "slug": "analytical-engine",
                     *       "name": "Analytical Engine",
                     *       "status": "active",
                     *       "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "role": "owner",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z",
                     *       "description": "A general-purpose computing machine.",
                     *       "task_counts": {
                     *         "pending": 0,
                     *         "in_progress": 0,
                     *         "completed": 0,
                     *         "cancelled": 0,
                     *         "archived": 0
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["Project"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["ProjectArchivedOrAlreadyExists"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            428: components["responses"]["PreconditionRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsRestore: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "slug": "analytical-engine",
                     *       "name": "Analytical Engine",
                     *       "status": "active",
                     *       "owner_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "role": "owner",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z",
                     *       "description": "A general-purpose computing machine.",
                     *       "task_counts": {
                     *         "pending": 0,
                     *         "in_progress": 0,
                     *         "completed": 0,
                     *         "cancelled": 0,
                     *         "archived": 0
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["Project"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrConflict"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsListMembers: {
        parameters: {
            query?: {
                /** @description The maximum number of items on the page. */
                limit?: number;
                /** @description The number of items to skip. Not together with `cursor`. */
                offset?: number;
                /** @description Where the page begins: `next_cursor` of the previous page. Pages stay in step while items are added or removed. */
                cursor?: string;
                /** @description The sort keys, the most important one first; `-` sorts in descending order. */
                sort?: ("created_at" | "-created_at" | "role" | "-role")[];
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
                     *           "username": "ada",
                     *           "first_name": "Ada",
                     *           "last_name": "Lovelace",
                     *           "role": "member",
                     *           "created_at": "2026-11-21T09:30:00.000Z"
                     *         }
                     *       ],
                     *       "limit": 20,
                     *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
                     *       "offset": 0,
                     *       "total": 1,
                     *       "total_capped": true
                     *     }
                     */
                    "application/json": components["schemas"]["MemberPage"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsAddMember: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
                 *       "role": "member"
                 *     }
                 */
                "application/json": components["schemas"]["ProjectsAddMemberBody"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Location: components["headers"]["Location"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
                     *       "username": "ada",
                     *       "first_name": "Ada",
                     *       "last_name": "Lovelace",
                     *       "role": "member",
                     *       "created_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Member"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrAlreadyExistsOrProjectArchived"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsGetMember: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
                     *       "username": "ada",
                     *       "first_name": "Ada",
                     *       "last_name": "Lovelace",
                     *       "role": "member",
                     *       "created_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Member"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsRemoveMember: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["ConflictOrProjectArchived"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsUpdateMember: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
                user_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "role": "member"
                 *     }
                 */
                "application/json": components["schemas"]["ProjectsUpdateMemberBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "user_id": "0193a5c4-2f7a-7d85-a3b9-1e0d9c8b7a65",
                     *       "username": "ada",
                     *       "first_name": "Ada",
                     *       "last_name": "Lovelace",
                     *       "role": "member",
                     *       "created_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Member"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["ConflictOrProjectArchived"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsListEvents: {
        parameters: {
            query?: {
                /** @description The last event that you have: its number, or number and id to have the id compared. 0 starts at the first event. */
                after?: string;
                /** @description The maximum number of items on the page. */
                limit?: number;
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
                     *           "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *           "seq": 1,
                     *           "type": "task_created",
                     *           "time": "2026-11-21T09:30:00.000Z",
                     *           "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *           "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
                     *           "data": {
                     *             "task": {
                     *               "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *               "title": "Write Note G",
                     *               "description": "How the engine computes Bernoulli numbers.",
                     *               "status": "pending",
                     *               "priority": "high",
                     *               "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *               "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *               "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *               "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *               "due_date": "2026-12-01T17:00:00.000Z",
                     *               "completed_at": null,
                     *               "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *               "version": 1,
                     *               "created_at": "2026-11-21T09:30:00.000Z",
                     *               "updated_at": "2026-11-21T09:30:00.000Z"
                     *             }
                     *           }
                     *         }
                     *       ],
                     *       "limit": 20,
                     *       "head": 1,
                     *       "next": "1-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"
                     *     }
                     */
                    "application/json": components["schemas"]["EventPage"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["LogRewritten"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    projectsStreamEvents: {
        parameters: {
            query?: {
                /** @description The last event that you have, as in `id:` of a frame; without it the response begins at the present position. `Last-Event-ID` replaces it. */
                after?: string;
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `id:` of the last frame that you have; it replaces `after`. A stock EventSource sends it. */
                "Last-Event-ID"?: components["parameters"]["Last-Event-ID"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example id: 41-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
                     *     event: task_created
                     *     data: {"id":"0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76","seq":41}
                     */
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksSnapshot: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "type": "head",
                     *       "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "seq": 42,
                     *       "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"
                     *     }
                     */
                    "application/x-ndjson": components["schemas"]["SnapshotLine"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksListInProject: {
        parameters: {
            query?: {
                status?: ("pending" | "in_progress" | "completed" | "cancelled" | "archived")[];
                priority?: ("low" | "medium" | "high" | "urgent")[];
                /** @description A user's id, `me` or `none`. */
                assigned_to?: string;
                /** @description A user's id. */
                created_by?: string;
                category_id?: string;
                /** @description Due at this time or later. */
                due_date_from?: string;
                /** @description Due at this time or earlier. */
                due_date_to?: string;
                /** @description `true`: open tasks whose due date has passed. `false`: all other tasks. */
                overdue?: boolean;
                /** @description Changed at this time or later. */
                updated_since?: string;
                /** @description Words to search for in title and description. 1 to 200 characters, without the white space around them; at least one is visible. */
                q?: string;
                /** @description `true`: also deleted tasks that you may restore. */
                include_deleted?: boolean;
                /** @description `true`: only tasks of archived projects; `false`: without them. */
                archived?: boolean;
                /** @description The maximum number of items on the page. */
                limit?: number;
                /** @description The number of items to skip. Not together with `cursor`. */
                offset?: number;
                /** @description Where the page begins: `next_cursor` of the previous page. Pages stay in step while items are added or removed. */
                cursor?: string;
                /** @description The sort keys, the most important one first; `-` sorts in descending order. */
                sort?: ("created_at" | "-created_at" | "updated_at" | "-updated_at" | "due_date" | "-due_date" | "priority" | "-priority" | "status" | "-status" | "title" | "-title" | "position" | "-position" | "rank" | "-rank")[];
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *           "title": "Write Note G",
                     *           "description": "How the engine computes Bernoulli numbers.",
                     *           "status": "pending",
                     *           "priority": "high",
                     *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *           "due_date": "2026-12-01T17:00:00.000Z",
                     *           "completed_at": null,
                     *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *           "version": 1,
                     *           "created_at": "2026-11-21T09:30:00.000Z",
                     *           "updated_at": "2026-11-21T09:30:00.000Z"
                     *         }
                     *       ],
                     *       "limit": 20,
                     *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
                     *       "offset": 0,
                     *       "total": 1,
                     *       "total_capped": true
                     *     }
                     */
                    "application/json": components["schemas"]["TaskPage"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksCreateInProject: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path: {
                /** @description A project's id or slug. */
                project: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "title": "Write Note G",
                 *       "description": "How the engine computes Bernoulli numbers.",
                 *       "status": "pending",
                 *       "priority": "high",
                 *       "due_date": "2026-12-01T17:00:00.000Z"
                 *     }
                 */
                "application/json": components["schemas"]["TasksCreateInProjectBody"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Location: components["headers"]["Location"];
                    ETag: components["headers"]["ETag"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "title": "Write Note G",
                     *       "description": "How the engine computes Bernoulli numbers.",
                     *       "status": "pending",
                     *       "priority": "high",
                     *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "due_date": "2026-12-01T17:00:00.000Z",
                     *       "completed_at": null,
                     *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Task"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrProjectArchivedOrIllegalTransition"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    notifierListEvents: {
        parameters: {
            query?: {
                /** @description The last event that you have: its number, or number and id to have the id compared. 0 starts at the first event. */
                after?: string;
                /** @description The maximum number of items on the page. */
                limit?: number;
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
                     *           "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *           "seq": 1,
                     *           "type": "task_created",
                     *           "time": "2026-11-21T09:30:00.000Z",
                     *           "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *           "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
                     *           "data": {
                     *             "task": {
                     *               "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *               "title": "Write Note G",
                     *               "description": "How the engine computes Bernoulli numbers.",
                     *               "status": "pending",
                     *               "priority": "high",
                     *               "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *               "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *               "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *               "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *               "due_date": "2026-12-01T17:00:00.000Z",
                     *               "completed_at": null,
                     *               "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *               "version": 1,
                     *               "created_at": "2026-11-21T09:30:00.000Z",
                     *               "updated_at": "2026-11-21T09:30:00.000Z"
                     *             }
                     *           }
                     *         }
                     *       ],
                     *       "limit": 20,
                     *       "head": 1,
                     *       "next": "1-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"
                     *     }
                     */
                    "application/json": components["schemas"]["EventPage"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["LogRewritten"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    notifierStreamEvents: {
        parameters: {
            query?: {
                /** @description The last event that you have, as in `id:` of a frame; without it the response begins at the present position. `Last-Event-ID` replaces it. */
                after?: string;
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `id:` of the last frame that you have; it replaces `after`. A stock EventSource sends it. */
                "Last-Event-ID"?: components["parameters"]["Last-Event-ID"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example id: 41-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76
                     *     event: task_created
                     *     data: {"id":"0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76","seq":41}
                     */
                    "text/event-stream": string;
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    notifierSync: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "cursors": {
                 *         "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21": "41-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["NotifierSyncBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "events": [
                     *         {
                     *           "id": "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
                     *           "stream": "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *           "seq": 1,
                     *           "type": "task_created",
                     *           "time": "2026-11-21T09:30:00.000Z",
                     *           "actor_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *           "request_id": "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
                     *           "data": {
                     *             "task": {
                     *               "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *               "title": "Write Note G",
                     *               "description": "How the engine computes Bernoulli numbers.",
                     *               "status": "pending",
                     *               "priority": "high",
                     *               "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *               "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *               "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *               "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *               "due_date": "2026-12-01T17:00:00.000Z",
                     *               "completed_at": null,
                     *               "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *               "version": 1,
                     *               "created_at": "2026-11-21T09:30:00.000Z",
                     *               "updated_at": "2026-11-21T09:30:00.000Z"
                     *             }
                     *           }
                     *         }
                     *       ],
                     *       "cursors": {
                     *         "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21": "41-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"
                     *       },
                     *       "gained": [],
                     *       "lost": [],
                     *       "reset": [],
                     *       "more": false,
                     *       "left_out": 1
                     *     }
                     */
                    "application/json": components["schemas"]["Sync"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrTooManyStreams"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksList: {
        parameters: {
            query?: {
                /** @description A project's id, or `none` for personal tasks. */
                project_id?: string;
                status?: ("pending" | "in_progress" | "completed" | "cancelled" | "archived")[];
                priority?: ("low" | "medium" | "high" | "urgent")[];
                /** @description A user's id, `me` or `none`. */
                assigned_to?: string;
                /** @description A user's id. */
                created_by?: string;
                category_id?: string;
                /** @description Due at this time or later. */
                due_date_from?: string;
                /** @description Due at this time or earlier. */
                due_date_to?: string;
                /** @description `true`: open tasks whose due date has passed. `false`: all other tasks. */
                overdue?: boolean;
                /** @description Changed at this time or later. */
                updated_since?: string;
                /** @description Words to search for in title and description. 1 to 200 characters, without the white space around them; at least one is visible. */
                q?: string;
                /** @description `true`: also deleted tasks that you may restore. */
                include_deleted?: boolean;
                /** @description `true`: only tasks of archived projects; `false`: without them. */
                archived?: boolean;
                /** @description The maximum number of items on the page. */
                limit?: number;
                /** @description The number of items to skip. Not together with `cursor`. */
                offset?: number;
                /** @description Where the page begins: `next_cursor` of the previous page. Pages stay in step while items are added or removed. */
                cursor?: string;
                /** @description The sort keys, the most important one first; `-` sorts in descending order. */
                sort?: ("created_at" | "-created_at" | "updated_at" | "-updated_at" | "due_date" | "-due_date" | "priority" | "-priority" | "status" | "-status" | "title" | "-title" | "position" | "-position" | "rank" | "-rank")[];
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *           "title": "Write Note G",
                     *           "description": "How the engine computes Bernoulli numbers.",
                     *           "status": "pending",
                     *           "priority": "high",
                     *           "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *           "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *           "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *           "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *           "due_date": "2026-12-01T17:00:00.000Z",
                     *           "completed_at": null,
                     *           "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *           "version": 1,
                     *           "created_at": "2026-11-21T09:30:00.000Z",
                     *           "updated_at": "2026-11-21T09:30:00.000Z"
                     *         }
                     *       ],
                     *       "limit": 20,
                     *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
                     *       "offset": 0,
                     *       "total": 1,
                     *       "total_capped": true
                     *     }
                     */
                    "application/json": components["schemas"]["TaskPage"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksCreate: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "title": "Write Note G",
                 *       "description": "How the engine computes Bernoulli numbers.",
                 *       "status": "pending",
                 *       "priority": "high",
                 *       "due_date": "2026-12-01T17:00:00.000Z"
                 *     }
                 */
                "application/json": components["schemas"]["TasksCreateBody"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Location: components["headers"]["Location"];
                    ETag: components["headers"]["ETag"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "title": "Write Note G",
                     *       "description": "How the engine computes Bernoulli numbers.",
                     *       "status": "pending",
                     *       "priority": "high",
                     *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "due_date": "2026-12-01T17:00:00.000Z",
                     *       "completed_at": null,
                     *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Task"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrProjectArchivedOrIllegalTransition"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksBulk: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "operations": [
                 *         {
                 *           "op": "create",
                 *           "title": "Write Note G",
                 *           "priority": "high"
                 *         },
                 *         {
                 *           "op": "transition",
                 *           "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                 *           "to": "completed"
                 *         }
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["TasksBulkBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "results": [
                     *         {
                     *           "op": "create",
                     *           "status": 201,
                     *           "task": {
                     *             "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *             "title": "Write Note G",
                     *             "description": "How the engine computes Bernoulli numbers.",
                     *             "status": "pending",
                     *             "priority": "high",
                     *             "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *             "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *             "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *             "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *             "due_date": "2026-12-01T17:00:00.000Z",
                     *             "completed_at": null,
                     *             "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *             "version": 1,
                     *             "created_at": "2026-11-21T09:30:00.000Z",
                     *             "updated_at": "2026-11-21T09:30:00.000Z"
                     *           }
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["BulkAnswer"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlight"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReusedOrBulkFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksGet: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` of the representation that you have. The response is 304 if it is still current. */
                "If-None-Match"?: components["parameters"]["If-None-Match"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "title": "Write Note G",
                     *       "description": "How the engine computes Bernoulli numbers.",
                     *       "status": "pending",
                     *       "priority": "high",
                     *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "due_date": "2026-12-01T17:00:00.000Z",
                     *       "completed_at": null,
                     *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z",
                     *       "project": {
                     *         "id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *         "slug": "analytical-engine",
                     *         "name": "Analytical Engine"
                     *       },
                     *       "creator": {
                     *         "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *         "username": "ada",
                     *         "first_name": "Ada",
                     *         "last_name": "Lovelace"
                     *       },
                     *       "assignee": {
                     *         "id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *         "username": "ada",
                     *         "first_name": "Ada",
                     *         "last_name": "Lovelace"
                     *       },
                     *       "category": {
                     *         "id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *         "name": "Mathematics",
                     *         "color": "#1E90FF"
                     *       },
                     *       "comment_count": 0
                     *     }
                     */
                    "application/json": components["schemas"]["TaskDetail"];
                };
            };
            /** @description Not modified: your representation is current */
            304: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksReplace: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "title": "Write Note G",
                 *       "description": "How the engine computes Bernoulli numbers.",
                 *       "status": "pending",
                 *       "priority": "high",
                 *       "due_date": "2026-12-01T17:00:00.000Z"
                 *     }
                 */
                "application/json": components["schemas"]["TasksReplaceBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "title": "Write Note G",
                     *       "description": "How the engine computes Bernoulli numbers.",
                     *       "status": "pending",
                     *       "priority": "high",
                     *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "due_date": "2026-12-01T17:00:00.000Z",
                     *       "completed_at": null,
                     *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Task"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["ProjectArchivedOrIllegalTransition"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            428: components["responses"]["PreconditionRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksDelete: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["ProjectArchived"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            428: components["responses"]["PreconditionRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksPatch: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "title": "Write Note G",
                 *       "description": "How the engine computes Bernoulli numbers.",
                 *       "status": "pending",
                 *       "priority": "high",
                 *       "due_date": "2026-12-01T17:00:00.000Z"
                 *     }
                 */
                "application/json": components["schemas"]["TasksPatchBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "title": "Write Note G",
                     *       "description": "How the engine computes Bernoulli numbers.",
                     *       "status": "pending",
                     *       "priority": "high",
                     *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "due_date": "2026-12-01T17:00:00.000Z",
                     *       "completed_at": null,
                     *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Task"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["ProjectArchivedOrIllegalTransition"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            428: components["responses"]["PreconditionRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksRestore: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "title": "Write Note G",
                     *       "description": "How the engine computes Bernoulli numbers.",
                     *       "status": "pending",
                     *       "priority": "high",
                     *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "due_date": "2026-12-01T17:00:00.000Z",
                     *       "completed_at": null,
                     *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Task"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrProjectArchived"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksAssign: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f"
                 *     }
                 */
                "application/json": components["schemas"]["TasksAssignBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "title": "Write Note G",
                     *       "description": "How the engine computes Bernoulli numbers.",
                     *       "status": "pending",
                     *       "priority": "high",
                     *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "due_date": "2026-12-01T17:00:00.000Z",
                     *       "completed_at": null,
                     *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Task"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrProjectArchived"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksTransition: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "to": "in_progress"
                 *     }
                 */
                "application/json": components["schemas"]["TasksTransitionBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "title": "Write Note G",
                     *       "description": "How the engine computes Bernoulli numbers.",
                     *       "status": "pending",
                     *       "priority": "high",
                     *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "due_date": "2026-12-01T17:00:00.000Z",
                     *       "completed_at": null,
                     *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Task"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrProjectArchivedOrIllegalTransition"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksMove: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "status": "pending"
                 *     }
                 */
                "application/json": components["schemas"]["TasksMoveBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "title": "Write Note G",
                     *       "description": "How the engine computes Bernoulli numbers.",
                     *       "status": "pending",
                     *       "priority": "high",
                     *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "due_date": "2026-12-01T17:00:00.000Z",
                     *       "completed_at": null,
                     *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Task"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrProjectArchivedOrIllegalTransitionOrNeighbourMoved"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksRedact: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "title": "Write Note G",
                     *       "description": "How the engine computes Bernoulli numbers.",
                     *       "status": "pending",
                     *       "priority": "high",
                     *       "project_id": "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21",
                     *       "category_id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "created_by": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "assigned_to": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "due_date": "2026-12-01T17:00:00.000Z",
                     *       "completed_at": null,
                     *       "position": "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Task"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrProjectArchived"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksListComments: {
        parameters: {
            query?: {
                /** @description The maximum number of items on the page. */
                limit?: number;
                /** @description The number of items to skip. Not together with `cursor`. */
                offset?: number;
                /** @description Where the page begins: `next_cursor` of the previous page. Pages stay in step while items are added or removed. */
                cursor?: string;
                /** @description The sort keys, the most important one first; `-` sorts in descending order. */
                sort?: ("created_at" | "-created_at" | "updated_at" | "-updated_at")[];
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
                     *           "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *           "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *           "body": "The table of operations is done.",
                     *           "version": 1,
                     *           "created_at": "2026-11-21T09:30:00.000Z",
                     *           "updated_at": "2026-11-21T09:30:00.000Z"
                     *         }
                     *       ],
                     *       "limit": 20,
                     *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
                     *       "offset": 0,
                     *       "total": 1,
                     *       "total_capped": true
                     *     }
                     */
                    "application/json": components["schemas"]["CommentPage"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksCreateComment: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "body": "The table of operations is done."
                 *     }
                 */
                "application/json": components["schemas"]["TasksCreateCommentBody"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Location: components["headers"]["Location"];
                    ETag: components["headers"]["ETag"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
                     *       "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "body": "The table of operations is done.",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Comment"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrProjectArchived"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksGetComment: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` of the representation that you have. The response is 304 if it is still current. */
                "If-None-Match"?: components["parameters"]["If-None-Match"];
            };
            path: {
                id: string;
                comment_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
                     *       "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "body": "The table of operations is done.",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Comment"];
                };
            };
            /** @description Not modified: your representation is current */
            304: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksDeleteComment: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                id: string;
                comment_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["ProjectArchived"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            428: components["responses"]["PreconditionRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksPatchComment: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                id: string;
                comment_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "body": "The table of operations is done."
                 *     }
                 */
                "application/json": components["schemas"]["TasksPatchCommentBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
                     *       "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "body": "The table of operations is done.",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Comment"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["ProjectArchived"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            428: components["responses"]["PreconditionRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksRedactComment: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path: {
                id: string;
                comment_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f",
                     *       "task_id": "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d",
                     *       "author_id": "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f",
                     *       "body": "The table of operations is done.",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Comment"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrProjectArchived"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksListCategories: {
        parameters: {
            query?: {
                /** @description The maximum number of items on the page. */
                limit?: number;
                /** @description The number of items to skip. Not together with `cursor`. */
                offset?: number;
                /** @description Where the page begins: `next_cursor` of the previous page. Pages stay in step while items are added or removed. */
                cursor?: string;
                /** @description The sort keys, the most important one first; `-` sorts in descending order. */
                sort?: ("name" | "-name" | "created_at" | "-created_at")[];
            };
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Link: components["headers"]["Link"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "items": [
                     *         {
                     *           "id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *           "name": "Mathematics",
                     *           "color": "#1E90FF",
                     *           "version": 1,
                     *           "created_at": "2026-11-21T09:30:00.000Z",
                     *           "updated_at": "2026-11-21T09:30:00.000Z"
                     *         }
                     *       ],
                     *       "limit": 20,
                     *       "next_cursor": "eyJrIjpbIjAxOTNhIl19.c2ln",
                     *       "offset": 0,
                     *       "total": 1,
                     *       "total_capped": true
                     *     }
                     */
                    "application/json": components["schemas"]["CategoryPage"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksCreateCategory: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours. */
                "Idempotency-Key"?: components["parameters"]["Idempotency-Key"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "name": "Mathematics",
                 *       "color": "#1E90FF"
                 *     }
                 */
                "application/json": components["schemas"]["TasksCreateCategoryBody"];
            };
        };
        responses: {
            /** @description Created */
            201: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    Location: components["headers"]["Location"];
                    ETag: components["headers"]["ETag"];
                    "Idempotency-Replayed": components["headers"]["Idempotency-Replayed"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "name": "Mathematics",
                     *       "color": "#1E90FF",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Category"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["IdempotencyKeyInFlightOrAlreadyExists"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailedOrIdempotencyKeyReused"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksGetCategory: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` of the representation that you have. The response is 304 if it is still current. */
                "If-None-Match"?: components["parameters"]["If-None-Match"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "name": "Mathematics",
                     *       "color": "#1E90FF",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Category"];
                };
            };
            /** @description Not modified: your representation is current */
            304: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksDeleteCategory: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description No content */
            204: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    [name: string]: unknown;
                };
                content?: never;
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            428: components["responses"]["PreconditionRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    tasksPatchCategory: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
                /** @description The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it. */
                traceparent?: components["parameters"]["traceparent"];
                /** @description The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412. */
                "If-Match"?: components["parameters"]["If-Match"];
            };
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "name": "Mathematics",
                 *       "color": "#1E90FF"
                 *     }
                 */
                "application/json": components["schemas"]["TasksPatchCategoryBody"];
            };
        };
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    "RateLimit-Policy": components["headers"]["RateLimit-Policy"];
                    RateLimit: components["headers"]["RateLimit"];
                    ETag: components["headers"]["ETag"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e",
                     *       "name": "Mathematics",
                     *       "color": "#1E90FF",
                     *       "version": 1,
                     *       "created_at": "2026-11-21T09:30:00.000Z",
                     *       "updated_at": "2026-11-21T09:30:00.000Z"
                     *     }
                     */
                    "application/json": components["schemas"]["Category"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            403: components["responses"]["Forbidden"];
            404: components["responses"]["NotFound"];
            406: components["responses"]["NotAcceptable"];
            408: components["responses"]["RequestTimeout"];
            409: components["responses"]["AlreadyExists"];
            412: components["responses"]["PreconditionFailed"];
            413: components["responses"]["PayloadTooLarge"];
            415: components["responses"]["UnsupportedMediaType"];
            417: components["responses"]["ExpectationFailed"];
            422: components["responses"]["ValidationFailed"];
            428: components["responses"]["PreconditionRequired"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            503: components["responses"]["ServiceUnavailableOrDatabaseUnavailableOrOverloaded"];
            504: components["responses"]["Timeout"];
        };
    };
    live: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "live"
                     *     }
                     */
                    "application/json": components["schemas"]["Live"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            408: components["responses"]["RequestTimeout"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
        };
    };
    ready: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ready",
                     *       "missing": []
                     *     }
                     */
                    "application/json": components["schemas"]["Readiness"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            408: components["responses"]["RequestTimeout"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            /** @description Not ready */
            503: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ready",
                     *       "missing": []
                     *     }
                     */
                    "application/json": components["schemas"]["Readiness"];
                };
            };
        };
    };
    health: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok",
                     *       "version": "0.2.0",
                     *       "uptime": 3600,
                     *       "database": {
                     *         "state": "up",
                     *         "latency_ms": 0.42
                     *       },
                     *       "redis": {
                     *         "state": "up",
                     *         "latency_ms": 0.42
                     *       },
                     *       "nats": {
                     *         "state": "up",
                     *         "latency_ms": 0.42
                     *       },
                     *       "services": {
                     *         "api-gateway": 1,
                     *         "auth": 1,
                     *         "users": 1,
                     *         "projects": 1,
                     *         "tasks": 1,
                     *         "notifier": 1,
                     *         "mailer": 1,
                     *         "jobs": 1
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["Health"];
                };
            };
            400: components["responses"]["MalformedRequest"];
            408: components["responses"]["RequestTimeout"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
            /** @description Not ready */
            503: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "ok",
                     *       "version": "0.2.0",
                     *       "uptime": 3600,
                     *       "database": {
                     *         "state": "up",
                     *         "latency_ms": 0.42
                     *       },
                     *       "redis": {
                     *         "state": "up",
                     *         "latency_ms": 0.42
                     *       },
                     *       "nats": {
                     *         "state": "up",
                     *         "latency_ms": 0.42
                     *       },
                     *       "services": {
                     *         "api-gateway": 1,
                     *         "auth": 1,
                     *         "users": 1,
                     *         "projects": 1,
                     *         "tasks": 1,
                     *         "notifier": 1,
                     *         "mailer": 1,
                     *         "jobs": 1
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["Health"];
                };
            };
        };
    };
    metrics: {
        parameters: {
            query?: never;
            header?: {
                /** @description Your own id for the request; the response and the server's log repeat it. */
                "X-Request-ID"?: components["parameters"]["X-Request-ID"];
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description OK */
            200: {
                headers: {
                    "X-Request-ID": components["headers"]["X-Request-ID"];
                    "X-Process-Time": components["headers"]["X-Process-Time"];
                    "Cache-Control": components["headers"]["Cache-Control"];
                    "Content-Security-Policy": components["headers"]["Content-Security-Policy"];
                    "Cross-Origin-Opener-Policy": components["headers"]["Cross-Origin-Opener-Policy"];
                    "Cross-Origin-Resource-Policy": components["headers"]["Cross-Origin-Resource-Policy"];
                    "Origin-Agent-Cluster": components["headers"]["Origin-Agent-Cluster"];
                    "Referrer-Policy": components["headers"]["Referrer-Policy"];
                    "Strict-Transport-Security": components["headers"]["Strict-Transport-Security"];
                    "X-Content-Type-Options": components["headers"]["X-Content-Type-Options"];
                    "X-DNS-Prefetch-Control": components["headers"]["X-DNS-Prefetch-Control"];
                    "X-Download-Options": components["headers"]["X-Download-Options"];
                    "X-Frame-Options": components["headers"]["X-Frame-Options"];
                    "X-Permitted-Cross-Domain-Policies": components["headers"]["X-Permitted-Cross-Domain-Policies"];
                    "X-XSS-Protection": components["headers"]["X-XSS-Protection"];
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example # HELP taskwire_ready 1 while /ready answers 200
                     *     # TYPE taskwire_ready gauge
                     *     taskwire_ready 1
                     */
                    "text/plain": string;
                };
            };
            400: components["responses"]["MalformedRequest"];
            401: components["responses"]["UnauthenticatedOrInvalidToken"];
            404: components["responses"]["NotFound"];
            408: components["responses"]["RequestTimeout"];
            429: components["responses"]["RateLimited"];
            431: components["responses"]["HeadersTooLarge"];
            500: components["responses"]["InternalError"];
        };
    };
}
