-- Reads the state of a model, or writes it if its version is still the one that was read.
-- KEYS: the state; three sorted sets of members by the time at which they were seen: all members,
-- those that exchange with the state, and those whose calls found no slot; whose turn it is. All
-- keys are in one slot of a cluster.
-- ARGV: the operation (heartbeat, read, release or write), the member, for how many ms a member counts as
-- present, and as one that exchanges or waits, whether its calls found no slot (0 or 1), and how long
-- a turn is. For a write also: the expected version, the new version, its epoch, the state, and for how many ms it is kept.
-- A read begins a turn, for ARGV[6] ms or until the member writes or releases it: other members that
-- read are told to come again, so that they do not all work on a state of which one can be written.
-- Answers: 1 if it was written, 2 if another member has its turn, otherwise 0; the time in seconds and microseconds, how many members are in
-- each set (not for a write), the version and the epoch that are stored now, and the state, unless
-- it was written or not asked for.
local time = redis.call('TIME')
local operation = ARGV[1]

if operation == 'write' then
  local found = redis.call('HMGET', KEYS[1], 'version', 'epoch', 'state')
  if (found[1] or 'none') ~= ARGV[7] then
    return { 0, time[1], time[2], 0, 0, 0, found[1] or 'none', found[2] or '', found[3] or '' }
  end
  redis.call('HSET', KEYS[1], 'version', ARGV[8], 'epoch', ARGV[9], 'state', ARGV[10])
  redis.call('PEXPIRE', KEYS[5], 0)
  redis.call('PEXPIRE', KEYS[1], ARGV[11])
  return { 1, time[1], time[2], 0, 0, 0, ARGV[8], ARGV[9], '' }
end

local turn = redis.call('HGET', KEYS[5], 'member')
if operation == 'release' then
  if turn == ARGV[2] then
    redis.call('PEXPIRE', KEYS[5], 0)
  end
  return { 0, time[1], time[2], 0, 0, 0, '', '', '' }
end
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Adds the member to a set, or removes it, and counts those that were added within so many ms.
local function count(key, is_in, within)
  redis.call('ZADD', key, is_in and now or 0, ARGV[2])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - within)
  redis.call('PEXPIRE', key, within)
  return redis.call('ZCARD', key)
end
local members = count(KEYS[2], true, ARGV[3])
if operation == 'heartbeat' then
  local found = redis.call('HMGET', KEYS[1], 'version', 'epoch')
  return { 0, time[1], time[2], members, 0, 0, found[1] or 'none', found[2] or '', '' }
end
local exchanging = count(KEYS[3], true, ARGV[4])
local waiting = count(KEYS[4], ARGV[5] == '1', ARGV[4])
if turn and turn ~= ARGV[2] then
  return { 2, time[1], time[2], members, exchanging, waiting, '', '', '' }
end
redis.call('HSET', KEYS[5], 'member', ARGV[2])
redis.call('PEXPIRE', KEYS[5], ARGV[6])
local found = redis.call('HMGET', KEYS[1], 'version', 'epoch', 'state')
return {
  0, time[1], time[2], members, exchanging, waiting,
  found[1] or 'none', found[2] or '', found[3] or '',
}
