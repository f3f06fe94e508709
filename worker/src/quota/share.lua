-- One worker reports on its deployments and gets its share of each. Shares are millionths; those
-- of all workers that may still count at the provider sum to at most the whole, always.
--
-- KEYS  one hash for each deployment: a field for each worker ("share want unit grain number seen
--       served"), "born", "blocked" (times), "limits" ("tokens requests").
-- ARGV  worker, number of the report, lease, tail, settle (milliseconds), time (milliseconds; 0:
--       the clock of this server), then for each key: share, want, unit, grain, blocked for
--       (milliseconds), tokens, requests.
-- Gives for each key: share, target, workers, blocked for (milliseconds), tokens, requests.
local WHOLE = 1000000
local FIXED, EACH = 6, 7
local FORGET = 24 * 3600 * 1000

local number = tonumber(ARGV[2])
local lease, tail, settle = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local now = tonumber(ARGV[6])
if now == 0 then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function by_turn(a, b)
  if a.served ~= b.served then return a.served < b.served end
  return a.name < b.name
end

-- The level up to which every want can be met from the total.
local function level_of(workers, total)
  local low, high = 0, WHOLE
  while low < high do
    local level, sum = math.ceil((low + high) / 2), 0
    for _, worker in ipairs(workers) do sum = sum + math.min(worker.want, level) end
    if sum <= total then low = level else high = level - 1 end
  end
  return low
end

-- Sets the target of each live worker; they sum to at most the total.
local function plan(workers, total)
  table.sort(workers, by_turn)
  -- Whoever needs more than a fair share for its next call gets it in turn, or all would wait
  -- for ever; one whose turn has not come gets nothing.
  local open = workers
  while true do
    local level = level_of(open, total)
    local short, rest = nil, {}
    for _, worker in ipairs(open) do
      if not short and worker.unit > math.min(worker.want, level) then
        short = worker
      else
        rest[#rest + 1] = worker
      end
    end
    if not short then break end
    short.target = short.unit <= total and short.unit or 0
    total = total - short.target
    open = rest
  end
  -- The others share fairly. A worker that wants more than that gets whole requests.
  local level, wants, met = level_of(open, total), 0, true
  for _, worker in ipairs(open) do
    worker.target = math.min(worker.want, level)
    if worker.want > level then
      met = false
      if worker.grain > 0 then worker.target = level - level % worker.grain end
    end
    total = total - worker.target
    wants = wants + worker.want + 10000
  end
  if not met then
    table.sort(open, function(a, b) return a.name < b.name end)
    for _, worker in ipairs(open) do
      if worker.want > worker.target and worker.grain <= total then
        worker.target = worker.target + worker.grain
        total = total - worker.grain
      end
    end
  elseif #open == #workers then
    -- Nobody is in want: what is left lies ready for whoever works, and a little for the others.
    local left = total
    for _, worker in ipairs(open) do
      worker.target = worker.target + math.floor(left * (worker.want + 10000) / wants)
    end
  end
end

local answer = {}
for index, key in ipairs(KEYS) do
  local at = FIXED + (index - 1) * EACH
  local name = 'w:' .. ARGV[1] .. '.' .. index
  local me = {
    name = name, served = 0,
    share = tonumber(ARGV[at + 1]), want = tonumber(ARGV[at + 2]),
    unit = tonumber(ARGV[at + 3]), grain = tonumber(ARGV[at + 4]),
  }
  local born, blocked, limits = nil, 0, '0 0'
  local live, free, total, before = { me }, WHOLE, WHOLE, 0
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local field, value = fields[i], fields[i + 1]
    if field == 'born' then
      born = tonumber(value)
    elseif field == 'blocked' then
      blocked = tonumber(value)
    elseif field == 'limits' then
      limits = value
    else
      local share, want, unit, grain, last, seen, served =
        string.match(value, '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
      local age = now - tonumber(seen)
      if field == name then
        -- It was overtaken by a later one on another connection.
        if tonumber(last) >= number then return redis.error_reply('STALE an old report') end
        before, me.served = tonumber(share), tonumber(served)
      elseif age > lease + tail then
        redis.call('HDEL', key, field)
      else
        free = free - tonumber(share)
        if age > lease then
          -- It has died, but what it sent may still count at the provider.
          total = total - tonumber(share)
        else
          live[#live + 1] = {
            name = field, served = tonumber(served), want = tonumber(want),
            unit = tonumber(unit), grain = tonumber(grain),
          }
        end
      end
    end
  end
  if not born then
    born = now
    redis.call('HSET', key, 'born', now)
  end

  plan(live, total)
  local wish = math.max(me.share, me.target)
  -- At first, or after a restart without data, not everybody has said what it holds.
  if now < born + settle then wish = me.share end
  local share = math.max(0, math.min(wish, free))
  if me.unit > 0 and before < me.unit and share >= me.unit then me.served = now end

  if tonumber(ARGV[at + 5]) > 0 then
    blocked = math.max(blocked, now + tonumber(ARGV[at + 5]))
    redis.call('HSET', key, 'blocked', string.format('%.0f', blocked))
  end
  if ARGV[at + 6] ~= '0' or ARGV[at + 7] ~= '0' then
    limits = ARGV[at + 6] .. ' ' .. ARGV[at + 7]
    redis.call('HSET', key, 'limits', limits)
  end
  redis.call('HSET', key, name, string.format('%.0f %.0f %.0f %.0f %.0f %.0f %.0f',
    share, me.want, me.unit, me.grain, number, now, me.served))
  redis.call('PEXPIRE', key, FORGET)
  local tokens, requests = string.match(limits, '^(%d+) (%d+)$')
  answer[index] = {
    share, me.target, #live, math.max(0, blocked - now), tonumber(tokens), tonumber(requests),
  }
end
return answer
