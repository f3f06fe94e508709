-- Reads the book of a model, or writes it where nobody else has written since it was read.
-- KEYS: the book, its workers. All are in one slot of a cluster.
-- ARGV: the worker, the version that was read (empty: only read), the new version, its epoch, the
-- book, for how many ms it is kept, and for how many ms a worker counts after its last word.
-- Answers: whether it is written, the time in seconds and microseconds, the workers, and the
-- version, the epoch and the book that are there; the book only where that is asked for.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[7])
redis.call('PEXPIRE', KEYS[2], ARGV[7])
local workers = redis.call('ZCARD', KEYS[2])
local found = redis.call('HMGET', KEYS[1], 'version', 'epoch')
local version, epoch = found[1] or 'none', found[2] or ''
if ARGV[2] == version then
  redis.call('HSET', KEYS[1], 'version', ARGV[3], 'epoch', ARGV[4], 'book', ARGV[5])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  return { 1, time[1], time[2], workers, ARGV[3], ARGV[4], '' }
end
local book = ''
if ARGV[2] ~= 'beat' then
  book = redis.call('HGET', KEYS[1], 'book') or ''
end
return { 0, time[1], time[2], workers, version, epoch, book }
