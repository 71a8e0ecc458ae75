/**
 * The charges of one configured provider: its price sheet, and the circumstances of its account. An account
 * is often shared by a fleet: free allotments, price tiers, IoT Hub's quota and its fee belong to the
 * account, so a gateway counts on its `share` of each. Plain data: the history stores it.
 */
import type { SheetBasics } from './sheet.ts';

export interface Tariff {
  /** The provider's type; decides how it bills (metering.ts). */
  readonly type: string;
  readonly sheet: SheetBasics;
  readonly share: number;
}
