// A scripted REST resource of ServiceNow (POST, global scope) that takes webhooks of Sextant.
// It verifies v1, drops repetitions, and leaves an event for em_event. ES5, as the platform wants it.
//
// Set up: a Scripted REST API with a POST resource, "Requires authentication" off (the signature is what
// authenticates), this as its script; a system property sextant.webhook.secret of type password2 that
// holds the subscription's whsec_ secret; for ids that were seen, a table u_sextant_seen with the unique
// string field u_webhook_id. Ask for `"detail": "thin"`: thin bodies are ASCII wherever your titles are.
(function process(request, response) {
    var TOLERANCE = 300; // seconds
    var SEVERITY = { critical: 1, major: 2, minor: 3, warning: 4, info: 5, unknown: 5 };

    function refuse(status, text) {
        response.setStatus(status);
        response.setBody({ error: text });
    }

    // As long as both, whatever is in them, so that time tells nothing.
    function equal(one, other) {
        var difference = one.length ^ other.length;
        for (var i = 0; i < one.length; i++) {
            difference |= one.charCodeAt(i) ^ other.charCodeAt(i % (other.length || 1));
        }
        return difference === 0;
    }

    function verified(body) {
        var id = String(request.getHeader('webhook-id') || '');
        var stamp = String(request.getHeader('webhook-timestamp') || '');
        if (!id || id.indexOf('.') >= 0 || !/^[0-9]{1,12}$/.test(stamp)) { return ''; }
        var now = new GlideDateTime().getNumericValue() / 1000;
        if (Math.abs(now - Number(stamp)) > TOLERANCE) { return ''; }
        var secret = String(gs.getProperty('sextant.webhook.secret')).replace(/^whsec_/, '');
        var expected = String(new CertificateEncryption().generateMac(secret, 'HmacSHA256', id + '.' + stamp + '.' + body));
        var parts = String(request.getHeader('webhook-signature') || '').split(' ').slice(0, 16);
        var matched = false;
        for (var i = 0; i < parts.length; i++) {
            if (parts[i].substring(0, 3) === 'v1,' && equal(expected, parts[i].substring(3))) { matched = true; }
        }
        return matched ? id : '';
    }

    var body = String(request.body.dataString);
    var id = verified(body);
    if (!id) { refuse(401, 'no genuine, timely message'); return; }

    var seen = new GlideRecord('u_sextant_seen');
    seen.initialize();
    seen.setValue('u_webhook_id', id);
    if (!seen.insert()) { response.setStatus(200); return; } // the same event again: it counts once

    var event = JSON.parse(body);
    var incident = event.data && event.data.incident;
    if (incident) {
        var ended = incident.status === 'resolved' || incident.status === 'closed' ||
            incident.status === 'dismissed' || incident.status === 'merged';
        var record = new GlideRecord('em_event');
        record.initialize();
        record.setValue('source', 'Sextant');
        record.setValue('message_key', incident.id); // one alert for each incident
        record.setValue('type', event.type);
        record.setValue('node', incident.services[0] || '');
        record.setValue('severity', ended ? 0 : SEVERITY[incident.severity]); // 0 clears it
        record.setValue('description', incident.number + ': ' + incident.title);
        record.setValue('additional_info', JSON.stringify({ url: incident.url, revision: incident.revision, sequence: event.sequence }));
        record.insert();
    }
    response.setStatus(204);
})(request, response);
