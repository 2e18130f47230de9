-- A queue leaves a tombstone for each event, and a scan reads them all until they are collected: 25 hours by default.
-- The collector comes for a range whose garbage is on average twice this old. A minute is what a proof has to read the
-- outbox in, which it does first. Only a table's owner may do this, so no process of the service can.
ALTER TABLE outbox CONFIGURE ZONE USING gc.ttlseconds = 60;
